"""Takes turns with a server: a message, an answer, until the message is bye."""
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET

client = socket.socket(family, socket.SOCK_STREAM)
client.connect((host, port))

message = input(" -> ")
while message.lower().strip() != "bye":
    client.send(message.encode())
    answer = client.recv(1024).decode()
    print("from the server: " + answer)
    message = input(" -> ")

client.close()
