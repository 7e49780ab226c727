/**
 * Lines that a member of a room sends to look like somebody else.
 *
 * @module
 */

/** What user1 says to look like somebody else, and what the others get. */
export const FORGED: [string, string][] = [
  ["<user2> hi", "<user1> <user2> hi"],
  ["* user2 left", "<user1> * user2 left"],
  ["\r<user2> hi", "<user1> \\x0d<user2> hi"],
  ["\x1b[2K\x1b[G<user2> hi", "<user1> \\x1b[2K\\x1b[G<user2> hi"],
  ["\x08\x08\x08\x7f", "<user1> \\x08\\x08\\x08\\x7f"],
  ["\x9b2K\x85<user2> hi", "<user1> \\x9b2K\\x85<user2> hi"],
  ["\u2028<user2> hi\u2029", "<user1> \\u2028<user2> hi\\u2029"],
  ["\u202eih >2resu<", "<user1> \\u202eih >2resu<"],
  ["\u2066x\u2069", "<user1> \\u2066x\\u2069"],
  ["\ufeff\0", "<user1> \\ufeff\\x00"],
  ["\ttab", "<user1> \\x09tab"],
];
