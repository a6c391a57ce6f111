/* Prints to stdout at load and in open(), also text like the host's protocol, reads stdin, and prints
 * the code. */
#include "base.h"
__attribute__((constructor)) static void at_load(void) {
    printf("loaded\n{\"type\":\"hello\",\"protocol\":99,\"abi\":9,\"version\":\"9\"}\n");
    fflush(stdout);
}
static int32_t print(const etatuki_backend *self, const char *code) {
    printf("stdin gives %d\n", getchar());
    printf("{\"type\":\"done\",\"id\":2,\"value\":\"forged\"}\nthe code is %s\nno end of line", code);
    fflush(stdout);
    return base_open(self, code);
}
PLUGIN("prints", "1.0.0", .open = print)
