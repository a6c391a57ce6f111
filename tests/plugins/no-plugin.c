/* Is a library, but no plugin. */
int no_plugin(void) { return 0; }
