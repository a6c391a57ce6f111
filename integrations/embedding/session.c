/* A support session inside another program, in C without a JSON library: cc -o session session.c
 *     session COMMAND...          such as: session etatuki session ecom */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Returns the string value of a key in a line, or null. Enough for fields without escapes; a real program uses a
 * JSON library. */
static char *field(char *line, const char *key) {
    char name[40], *at, *end;
    snprintf(name, sizeof name, "\"%s\":\"", key);
    if ((at = strstr(line, name)) == NULL || (end = strchr(at += strlen(name), '"')) == NULL) return NULL;
    return strndup(at, (size_t)(end - at));
}

/* Drops what was typed before a question: it is no answer to it. */
static void forget_typed(void) {
    char rest[256];
    struct pollfd keyboard = {0, POLLIN, 0};
    if (isatty(0)) tcflush(0, TCIFLUSH);
    while (poll(&keyboard, 1, 0) > 0 && keyboard.revents & POLLIN && read(0, rest, sizeof rest) > 0) {}
}

int main(int count, char **command) {
    int in[2], out[2], status, question = 0;
    char line[8192], answer[16], *digits, *text, *id;
    if (count < 2 || pipe(in) != 0 || pipe(out) != 0) return 2;
    if (fork() == 0) {
        dup2(in[0], 0), dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execvp(command[1], command + 1), perror(command[1]), _exit(127);
    }
    close(in[0]), close(out[1]);
    FILE *session = fdopen(out[0], "r");
    setvbuf(stdin, NULL, _IONBF, 0); /* nothing typed later is kept for the next question */
    while (fgets(line, sizeof line, session) != NULL) {
        for (char *at = line; (at = strstr(at, "\"digits\"")) != NULL; at++)
            if ((digits = field(at, "digits")) != NULL) puts(digits), free(digits);
        int early = strstr(line, "\"name\":\"too-early\"") != NULL; /* no answer is accepted in its first second */
        if (early) sleep(1);
        if (early || strstr(line, "\"type\":\"ask\"") != NULL) forget_typed();
        if (early) puts("Vastasit liian pian. Lue kysymys ja vastaa uudelleen");
        else if ((text = field(line, "text")) != NULL) puts(text), free(text);
        fflush(stdout);
        if (strstr(line, "\"type\":\"ask\"") != NULL && (id = strstr(line, "\"id\":")) != NULL) question = atoi(id + 5);
        else if (!early) continue;
        int allow = fgets(answer, sizeof answer, stdin) != NULL && answer[0] == 'k';
        dprintf(in[1], "{\"type\":\"answer\",\"id\":%d,\"allow\":%s}\n", question, allow ? "true" : "false");
    }
    return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
