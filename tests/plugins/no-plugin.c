/* Some library. */
int no_plugin(void) { return 0; }
