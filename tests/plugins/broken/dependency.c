int exportd_dependency(void);
__attribute__((visibility("default"))) int exportd_dependency(void)
{
    return 1;
}
