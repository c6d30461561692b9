/* A shared object, but no plugin. */
int exportd_nothing(void);
__attribute__((visibility("default"))) int exportd_nothing(void)
{
    return 0;
}
