// A server and a client of a few lines, for tests of pod networks.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "actions.h"

namespace probe {

static int Failed(const char* what) {
  printf("%s: %s\n", what, strerrorname_np(errno));
  return 1;
}

static void Answer(int connection, const std::string& body) {
  char request[4096];
  // A client that only connects (a plain "connect") sends nothing: it gets the answer too.
  const struct timeval patience = {1, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (read(connection, request, sizeof request) < 0 && errno != EAGAIN) return;
  const std::string head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n";
  const std::string text = head + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t part = write(connection, text.data() + done, text.size() - done);
    if (part <= 0) return;
    done += static_cast<size_t>(part);
  }
}

int Serve(int count, char** words) {
  if (count < 1) return 64;
  const std::string body = count > 1 ? words[1] : "probe\n";
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, [](int) { _exit(0); });
  const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  const int off = 0;
  if (listener < 0) return Failed("socket");
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  struct sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<uint16_t>(atoi(words[0])));
  auto* const bound = reinterpret_cast<struct sockaddr*>(&address);
  if (bind(listener, bound, sizeof address) != 0) return Failed("bind");
  if (listen(listener, 64) != 0) return Failed("listen");
  printf("serving: %s\n", words[0]);
  fflush(stdout);
  for (;;) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    Answer(connection, body);
    close(connection);
  }
}

int Connect(int count, char** words) {
  if (count < 2) return 64;
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(words[1])));
  if (inet_pton(AF_INET, words[0], &address.sin_addr) != 1) return 64;
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) return Failed("socket");
  const struct timeval patience = {5, 0};
  setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(connection, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) {
    return Failed("connect");
  }
  static const char kRequest[] = "GET / HTTP/1.0\r\n\r\n";
  if (write(connection, kRequest, sizeof kRequest - 1) < 0) return Failed("write");
  char buffer[4096];
  ssize_t length;
  while ((length = read(connection, buffer, sizeof buffer)) > 0) {
    fwrite(buffer, 1, static_cast<size_t>(length), stdout);
  }
  return length < 0 ? Failed("read") : 0;
}

}  // namespace probe
