/* Score samples of GPU jobs over the service's Unix socket: a sample a line in, its probability of mining a line out.
 *
 *     cc -std=c11 -Wall -Wextra -Werror -o score_socket score_socket.c
 *     ./score_socket /run/hashwarden/serve.sock < samples.csv
 *
 * A line holds a value for each channel, in the order that the model's metadata tells (GET /v2/models/job), separated
 * by commas; nothing between two commas is a missing value. Each sample is taken as the first of its job: to follow a
 * job, ask for the output "state" too and send it with the next sample and the seconds between the two as "dt".
 * A token is taken from HASHWARDEN_TOKEN if that is set.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors travel in little-endian order: swap the bytes of each float first"
#endif

enum { CHANNELS = 76, CLASSES = 6, MINING = 2, MOST_ROWS = 1024, MOST_ANSWER = 1 << 20, SECONDS = 10 };

static void die(const char *what, const char *why) {
    fprintf(stderr, "score_socket: %s%s%s\n", what, *why ? ": " : "", why);
    exit(EXIT_FAILURE);
}

/* One line into one row; anything but numbers and commas is an error. */
static void parse(const char *at, float *row) {
    for (int channel = 0; channel < CHANNELS; channel++) {
        char *end = (char *)at;
        row[channel] = *at == ',' || *at == '\0' ? NAN : strtof(at, &end);
        if (*end != (channel + 1 < CHANNELS ? ',' : '\0'))
            die("a line that is not a value, or nothing, for each of the 76 channels", "");
        at = end + 1;
    }
}

static size_t read_samples(float rows[][CHANNELS]) {
    char *line = NULL;
    size_t room = 0, count = 0;
    while (getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (count == MOST_ROWS) die("more samples than this program sends at once", "");
        parse(line, rows[count++]);
    }
    if (ferror(stdin)) die("standard input", strerror(errno));
    free(line);
    return count;
}

static int connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = SECONDS};
    if (strlen(path) >= sizeof address.sun_path) die(path, "too long for a socket");
    strcpy(address.sun_path, path);
    int link = socket(AF_UNIX, SOCK_STREAM, 0);
    if (link < 0 || setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(link, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        connect(link, (struct sockaddr *)&address, sizeof address) < 0)
        die(path, strerror(errno));
    return link;
}

static void send_all(int link, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t sent = send(link, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EPIPE) return; /* refused before it was all there: the answer says why */
        if (sent < 0) die("the request", strerror(errno));
        at += sent, size -= (size_t)sent;
    }
}

static size_t receive_all(int link, char *answer, size_t room) {
    size_t size = 0;
    for (;;) {
        ssize_t got = recv(link, answer + size, room - size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0 || (got < 0 && errno == ECONNRESET && size > 0)) return size;
        if (got < 0) die("the answer", strerror(errno));
        if ((size += (size_t)got) == room) die("the answer", "larger than it can be");
    }
}

/* The number after a header's name; -1 if it is not there. */
static long header(const char *head, const char *name) {
    for (const char *at = strstr(head, "\r\n"); at; at = strstr(at + 2, "\r\n"))
        if (!strncasecmp(at + 2, name, strlen(name)) && at[2 + strlen(name)] == ':')
            return strtol(at + 3 + strlen(name), NULL, 10);
    return -1;
}

/* Checks the answer; gives where its tensor begins. */
static const char *tensor_of(char *answer, size_t size, size_t wanted) {
    answer[size] = '\0';
    char *body = strstr(answer, "\r\n\r\n");
    if (strncmp(answer, "HTTP/1.1 ", 9) || !body) die("the answer", "no HTTP");
    *body = '\0', body += 4;
    size -= (size_t)(body - answer);
    if (strncmp(answer + 9, "200 ", 4)) {
        for (char *at = body; *at; at++)
            if (!isprint((unsigned char)*at)) *at = ' ';
        die("refused", body);
    }
    long json = header(answer, "inference-header-content-length");
    if (header(answer, "content-length") != (long)size || json < 0 || (size_t)json + wanted != size)
        die("the answer", "not as long as it should be");
    return body + json;
}

int main(int count, char **words) {
    static float rows[MOST_ROWS][CHANNELS], dt[MOST_ROWS];
    static char json[512], head[4096], answer[MOST_ANSWER + 1];
    const char *token = getenv("HASHWARDEN_TOKEN");
    if (count != 2) die("usage: score_socket SOCKET < samples.csv", "");
    for (const char *at = token; at && *at; at++)
        if (!isgraph((unsigned char)*at)) die("HASHWARDEN_TOKEN", "not a token");

    size_t samples = read_samples(rows);
    int length = snprintf(json, sizeof json,
        "{\"inputs\":[{\"name\":\"sample\",\"datatype\":\"FP32\",\"shape\":[%zu,%d],"
        "\"parameters\":{\"binary_data_size\":%zu}},{\"name\":\"dt\",\"datatype\":\"FP32\",\"shape\":[%zu],"
        "\"parameters\":{\"binary_data_size\":%zu}}],"
        "\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{\"binary_data\":true}}]}",
        samples, CHANNELS, samples * sizeof rows[0], samples, samples * sizeof dt[0]);
    int used = snprintf(head, sizeof head,
        "POST /v2/models/job/infer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s%s"
        "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\nContent-Length: %zu\r\n\r\n",
        token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "", length,
        (size_t)length + samples * (sizeof rows[0] + sizeof dt[0]));
    if (used < 0 || (size_t)used >= sizeof head) die("HASHWARDEN_TOKEN", "too long");

    int link = connect_to(words[1]);
    send_all(link, head, (size_t)used);
    send_all(link, json, (size_t)length);
    send_all(link, rows, samples * sizeof rows[0]);
    send_all(link, dt, samples * sizeof dt[0]);
    size_t size = receive_all(link, answer, MOST_ANSWER);
    close(link);

    const char *tensor = tensor_of(answer, size, samples * CLASSES * sizeof(float));
    for (size_t row = 0; row < samples; row++) {
        float chances[CLASSES];
        memcpy(chances, tensor + row * sizeof chances, sizeof chances);
        printf("%.6f\n", (double)chances[MINING]);
    }
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
