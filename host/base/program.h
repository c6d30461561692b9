/*
 * base/program.h: where the files lie that came with this program.
 *
 * A build folder has them beside the program. A tree that was installed below another prefix than it was configured
 * for, or moved there, has them below that one. Else they are where they were configured to be installed.
 */
#ifndef EXPORTD_BASE_PROGRAM_H
#define EXPORTD_BASE_PROGRAM_H

/*
 * Returns the first of these that exists: beside (a name in the program's own folder; or NULL), below (relative to
 * the prefix; not asked for where the program lies in the folder that it was configured for), configured; or
 * configured where none does. A new string; NULL: out of memory.
 */
char *program_file(const char *beside, const char *below, const char *configured);

#endif
