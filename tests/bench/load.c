/*
 * What the end-to-end benchmark puts on a server. In C, because a load that is
 * slower than what it loads measures itself; and a C echo server and C datagram
 * programs, as the peers that are hardest to beat.
 *
 *   load rounds PORT CONNECTIONS SIZE SECONDS    each sends SIZE bytes, waits for
 *                                               them, and again: rounds a second
 *   load churn PORT CONNECTIONS SIZE SECONDS     the same, connecting each time
 *   load paced PORT CONNECTIONS SIZE SECONDS     the same, a round a second each
 *   load once PORT CONNECTIONS SIZE              one round each, 2,000 at once:
 *                                               seconds; held until stdin ends
 *   load bulk PORT SECONDS                       one stream and back: MB a second
 *   load room PORT MEMBERS LINES                 one speaks: lines heard a second
 *   load echo PORT                               serves, until it is ended
 *   load udp-send PORT SIZE COUNT                seconds that it took
 *   load udp-receive PORT                        datagrams, until none come
 *
 * Prints one number. Everything happens on 127.0.0.1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server;
static char bytes[1 << 20];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int opened(int blocking) {
  int on = 1;
  int fd = socket(AF_INET, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) fail("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS)
    fail("connect");
  return fd;
}

/* A connection in the middle of a round. */
struct connection {
  int fd;
  size_t sent, received;
  double next; /* when its next round begins */
};

enum { AT_ONCE = 2000 };
enum mode { ROUNDS, CHURN, PACED, ONCE };

static void watch(int epoll, struct connection *c, int change) {
  struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = c}};
  if (epoll_ctl(epoll, change, c->fd, &event) < 0) fail("epoll_ctl");
}

/* Sends and receives what it can. True when the round is complete. */
static int progress(struct connection *c, size_t size) {
  while (c->sent < size) {
    ssize_t n = send(c->fd, bytes + c->sent, size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
    if (n < 0) fail("send");
    c->sent += n;
  }
  while (c->received < c->sent) {
    static char away[1 << 16];
    ssize_t n = recv(c->fd, away, sizeof away, 0);
    if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
    if (n < 0) fail("recv");
    if (n == 0) fprintf(stderr, "the server closed\n"), exit(1);
    c->received += n;
  }
  return c->received == size;
}

static void rounds(enum mode mode, int count, size_t size, double seconds) {
  struct connection *all = calloc(count, sizeof *all);
  int epoll = epoll_create1(0), left = count;
  /* More at once than wait in a backlog would be reset, and measure nothing. */
  int open = mode == ONCE && count > AT_ONCE ? AT_ONCE : count;
  double begin = now(), end = begin + seconds;
  unsigned long done = 0;
  for (int i = 0; i < open; i++) {
    all[i].fd = opened(0);
    watch(epoll, &all[i], EPOLL_CTL_ADD);
  }
  if (mode == PACED) {
    begin = now(), end = begin + seconds;
    for (int i = 0; i < count; i++) all[i].next = begin + (double)i / count;
  }
  while (mode == ONCE ? left > 0 : now() < end) {
    struct epoll_event events[1024];
    int ready = epoll_wait(epoll, events, 1024, mode == PACED ? 1 : 100);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (mode == PACED && c->sent == 0) continue;
      while (progress(c, size)) {
        done++, left--;
        c->sent = c->received = 0;
        if (mode == ONCE && open < count) {
          all[open].fd = opened(0);
          watch(epoll, &all[open++], EPOLL_CTL_ADD);
        }
        if (mode == PACED || mode == ONCE) break;
        if (mode == ROUNDS) continue;
        /* A reset leaves no TIME-WAIT behind, which would use up the ports. */
        struct linger reset = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(c->fd);
        c->fd = opened(0);
        watch(epoll, c, EPOLL_CTL_ADD);
        break;
      }
    }
    double time = now();
    for (int i = 0; mode == PACED && i < count; i++) {
      if (all[i].next > time) continue;
      all[i].next += 1;
      progress(&all[i], size);
    }
  }
  if (mode == ONCE) {
    printf("%.6f\n", now() - begin);
    fflush(stdout);
    while (read(0, bytes, sizeof bytes) > 0);
  } else {
    printf("%.1f\n", done / (now() - begin));
  }
}

static void bulk(double seconds) {
  int fd = opened(0);
  struct pollfd ready = {fd, POLLIN | POLLOUT, 0};
  double begin = now();
  unsigned long long sent = 0, received = 0;
  while (now() < begin + seconds) {
    /* What is under way is bounded, as by a program that uses the answer. */
    int full = sent - received > 8u << 20;
    ready.events = full ? POLLIN : POLLIN | POLLOUT;
    poll(&ready, 1, 100);
    ssize_t n;
    if (!full && (n = send(fd, bytes, 65536, MSG_NOSIGNAL)) > 0) sent += n;
    static char away[1 << 18];
    while ((n = recv(fd, away, sizeof away, 0)) > 0) received += n;
    if (n == 0) fprintf(stderr, "the server closed\n"), exit(1);
  }
  printf("%.1f\n", received / (now() - begin) / 1e6);
}

/* Counts the line feeds after a first line that says that all are there. */
static void room(int members, int lines) {
  static const char text[] = "@ a line of the length that people write in a chat room\n";
  int *all = calloc(members, sizeof *all);
  struct pollfd *ready = calloc(members, sizeof *ready);
  for (int i = 0; i < members; i++) {
    all[i] = opened(1);
    ready[i] = (struct pollfd){all[i], POLLIN, 0};
    usleep(2000);
  }
  usleep(300000); /* for the announcements, which are not counted */
  unsigned long want = (unsigned long)lines * (members - 1), heard = 0;
  size_t size = (sizeof text - 1) * (size_t)lines, sent = 0;
  char *said = malloc(size);
  for (int i = 0; i < lines; i++)
    memcpy(said + i * (sizeof text - 1), text, sizeof text - 1);
  double begin = now(), last = begin;
  while (heard < want && now() < last + 3) {
    ready[0].events = sent < size ? POLLIN | POLLOUT : POLLIN;
    poll(ready, members, 100);
    /* A line is said in one piece; how many are read in one is up to TCP. */
    for (int i = 0; sent < size && i < 64; i++) {
      size_t piece = sizeof text - 1 - sent % (sizeof text - 1);
      ssize_t n = send(all[0], said + sent, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0) break;
      sent += n;
    }
    for (int i = 0; i < members; i++) {
      if (!(ready[i].revents & POLLIN)) continue;
      ssize_t n = recv(all[i], bytes, sizeof bytes, MSG_DONTWAIT);
      /* Every line has one @, and nothing that the server adds has. */
      for (char *at = bytes; n > 0 && (at = memchr(at, '@', bytes + n - at)); at++)
        heard++, last = now();
    }
  }
  if (heard < want)
    fprintf(stderr, "%lu of %lu lines were lost\n", want - heard, want);
  printf("%.1f\n", heard / (last - begin));
}

static void echo(void) {
  int on = 1, epoll = epoll_create1(0);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (void *)&server, sizeof server) < 0) fail("bind");
  listen(listener, 4096);
  struct epoll_event event = {EPOLLIN, {.fd = listener}}, events[1024];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, 1024, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          event.data.fd = fd;
          epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
        continue;
      }
      ssize_t have = recv(fd, bytes, 65536, 0);
      if (have < 0 && errno == EAGAIN) continue;
      ssize_t sent = 0;
      while (sent < have) {
        ssize_t n = send(fd, bytes + sent, have - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) break;
        if (n > 0) sent += n;
        else poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 1000);
      }
      if (have <= 0 || sent < have) close(fd);
    }
  }
}

static void udp_send(size_t size, long count) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  double begin = now();
  while (count > 0)
    count -= sendto(fd, bytes, size, 0, (void *)&server, sizeof server) > 0;
  printf("%.6f\n", now() - begin);
}

static void udp_receive(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct timeval patience = {1, 0};
  if (bind(fd, (void *)&server, sizeof server) < 0) fail("bind");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  unsigned long received = 0;
  for (;;) {
    if (recv(fd, bytes, sizeof bytes, 0) >= 0) received++;
    else if (received > 0) break;
  }
  printf("%lu\n", received);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "see the top of load.c\n"), 2;
  const char *mode = argv[1];
  double number[4] = {0};
  for (int i = 3; i < argc && i < 7; i++) number[i - 3] = atof(argv[i]);
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(argv[2]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  memset(bytes, 'x', sizeof bytes);
  /* Lines of 64 bytes, for the framings that want lines. */
  for (size_t i = 63; i < sizeof bytes; i += 64) bytes[i] = '\n';
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  if (!strcmp(mode, "rounds")) rounds(ROUNDS, number[0], number[1], number[2]);
  else if (!strcmp(mode, "churn")) rounds(CHURN, number[0], number[1], number[2]);
  else if (!strcmp(mode, "paced")) rounds(PACED, number[0], number[1], number[2]);
  else if (!strcmp(mode, "once")) rounds(ONCE, number[0], number[1], 0);
  else if (!strcmp(mode, "bulk")) bulk(number[0]);
  else if (!strcmp(mode, "room")) room(number[0], number[1]);
  else if (!strcmp(mode, "echo")) echo();
  else if (!strcmp(mode, "udp-send")) udp_send(number[0], number[1]);
  else if (!strcmp(mode, "udp-receive")) udp_receive();
  else return fprintf(stderr, "no such load: %s\n", mode), 2;
  return 0;
}
