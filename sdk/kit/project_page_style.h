/*
 * project_page_style.h: the looks of a page and its one script, inside the kit.
 */
#ifndef EXPORTD_KIT_PROJECT_PAGE_STYLE_H
#define EXPORTD_KIT_PROJECT_PAGE_STYLE_H

extern const char project_page_style[];

/* Posts the form, but not when the reader came back to the page. */
extern const char project_page_script[];

#endif
