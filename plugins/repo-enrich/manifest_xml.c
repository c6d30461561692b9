/*
 * manifest.h: pom.xml and projects of .NET, with expat. A document that declares an entity is not read on: they blow
 * up, and no manifest needs one. Nothing outside the document is looked at.
 */
#include "manifest.h"

#include "value.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 60
#define PATH_BYTES 600
#define PROPERTIES_MAX 200
#define MANAGED_MAX 1000

struct property {
    char *name, *value;
};

/* A dependency that is being read, or one that dependencyManagement gives a version. */
struct artifact {
    char group[MANIFEST_TEXT_MAX], name[MANIFEST_TEXT_MAX], version[MANIFEST_TEXT_MAX], scope[24];
    bool optional;
};

struct xml {
    struct manifest *manifest;
    XML_Parser parser;
    char path[PATH_BYTES]; /* "/project/dependencies/dependency" */
    size_t lengths[DEPTH_MAX];
    int depth;
    char text[MANIFEST_TEXT_MAX + 1];
    size_t length;
    const char *refused;
    struct property properties[PROPERTIES_MAX];
    size_t property_count;
    struct artifact *found, *managed;
    size_t found_count, managed_count;
    struct artifact current, own, parent;
    char licence[MANIFEST_TEXT_MAX];
    int licences;
    void (*end)(struct xml *xml);
    void (*begin)(struct xml *xml, const char **attributes);
};

static void refuse(struct xml *xml, const char *why)
{
    xml->refused = why;
    XML_StopParser(xml->parser, XML_FALSE);
}

static void on_entity(void *context, const char *name, int is_parameter, const char *value, int length,
                      const char *base, const char *system_id, const char *public_id, const char *notation)
{
    (void)name, (void)is_parameter, (void)value, (void)length, (void)base, (void)system_id, (void)public_id;
    (void)notation;
    refuse(context, "it declares entities, and was not read");
}

static void on_start(void *context, const char *name, const char **attributes)
{
    struct xml *xml = context;
    size_t before = strlen(xml->path), length = strlen(name);
    if (xml->depth == DEPTH_MAX || before + length + 2 > sizeof xml->path) {
        refuse(xml, "its elements are nested too deep");
        return;
    }
    xml->lengths[xml->depth++] = before;
    snprintf(xml->path + before, sizeof xml->path - before, "/%s", name);
    xml->length = 0;
    if (xml->begin)
        xml->begin(xml, attributes);
}

static void on_text(void *context, const char *text, int length)
{
    struct xml *xml = context;
    size_t room = sizeof xml->text - 1 - xml->length, taken = (size_t)length < room ? (size_t)length : room;
    memcpy(xml->text + xml->length, text, taken);
    xml->length += taken;
}

/* Without the blanks around it. */
static void settle_text(struct xml *xml)
{
    xml->text[xml->length] = '\0';
    size_t blanks = strspn(xml->text, " \t\r\n");
    memmove(xml->text, xml->text + blanks, xml->length - blanks + 1);
    size_t length = strlen(xml->text);
    while (length > 0 && strchr(" \t\r\n", xml->text[length - 1]))
        xml->text[--length] = '\0';
}

static void on_end(void *context, const char *name)
{
    struct xml *xml = context;
    (void)name;
    settle_text(xml);
    if (xml->end)
        xml->end(xml);
    xml->path[xml->lengths[--xml->depth]] = '\0';
    xml->length = 0;
}

static void parse(struct xml *xml, const char *text, size_t size)
{
    xml->parser = XML_ParserCreate(NULL);
    if (!xml->parser)
        return;
    XML_SetUserData(xml->parser, xml);
    XML_SetElementHandler(xml->parser, on_start, on_end);
    XML_SetCharacterDataHandler(xml->parser, on_text);
    XML_SetEntityDeclHandler(xml->parser, on_entity);
    if (XML_Parse(xml->parser, text, (int)size, XML_TRUE) != XML_STATUS_OK) {
        if (xml->refused)
            manifest_problem(xml->manifest, "%s", xml->refused);
        else
            manifest_problem(xml->manifest, "line %lu is no XML: %s",
                             (unsigned long)XML_GetCurrentLineNumber(xml->parser),
                             XML_ErrorString(XML_GetErrorCode(xml->parser)));
    }
    XML_ParserFree(xml->parser);
}

static void keep(char *to, size_t size, const struct xml *xml)
{
    size_t length = strnlen(xml->text, size - 1);
    memcpy(to, xml->text, length);
    to[length] = '\0';
}

/* Adds one to a list, which grows. */
static void push(struct artifact **list, size_t *count, size_t most, const struct artifact *one)
{
    if (*count >= most)
        return;
    struct artifact *grown = reallocarray(*list, *count + 1, sizeof **list);
    if (!grown)
        return;
    *list = grown;
    grown[(*count)++] = *one;
}

static void take_artifact(struct xml *xml, const char *leaf, struct artifact *artifact)
{
    if (strcmp(leaf, "groupId") == 0)
        keep(artifact->group, sizeof artifact->group, xml);
    else if (strcmp(leaf, "artifactId") == 0)
        keep(artifact->name, sizeof artifact->name, xml);
    else if (strcmp(leaf, "version") == 0)
        keep(artifact->version, sizeof artifact->version, xml);
    else if (strcmp(leaf, "scope") == 0)
        keep(artifact->scope, sizeof artifact->scope, xml);
    else if (strcmp(leaf, "optional") == 0)
        artifact->optional = strcmp(xml->text, "true") == 0;
}

/* Where the path goes on behind a prefix with one name more: that name; else NULL. */
static const char *leaf_of(const struct xml *xml, const char *prefix)
{
    size_t length = strlen(prefix);
    const char *leaf = strncmp(xml->path, prefix, length) == 0 ? xml->path + length : NULL;
    return leaf && !strchr(leaf, '/') ? leaf : NULL;
}

static void on_maven(struct xml *xml)
{
    const char *leaf;
    if (strcmp(xml->path, "/project/dependencies/dependency") == 0) {
        /* More than may be listed are read, so that the list is known to be cut. */
        push(&xml->found, &xml->found_count, xml->manifest->max_dependencies + 1, &xml->current);
        xml->current = (struct artifact){0};
    } else if (strcmp(xml->path, "/project/dependencyManagement/dependencies/dependency") == 0) {
        push(&xml->managed, &xml->managed_count, MANAGED_MAX, &xml->current);
        xml->current = (struct artifact){0};
    } else if ((leaf = leaf_of(xml, "/project/dependencies/dependency/")) ||
               (leaf = leaf_of(xml, "/project/dependencyManagement/dependencies/dependency/"))) {
        take_artifact(xml, leaf, &xml->current);
    } else if ((leaf = leaf_of(xml, "/project/properties/"))) {
        if (xml->property_count < PROPERTIES_MAX)
            xml->properties[xml->property_count++] = (struct property){strdup(leaf), strdup(xml->text)};
    } else if (strcmp(xml->path, "/project/licenses/license/name") == 0) {
        keep(xml->licence, sizeof xml->licence, xml);
        xml->licences++;
    } else if ((leaf = leaf_of(xml, "/project/parent/"))) {
        take_artifact(xml, leaf, &xml->parent);
    } else if ((leaf = leaf_of(xml, "/project/"))) {
        take_artifact(xml, leaf, &xml->own);
    }
}

static const char *property(const struct xml *xml, const char *name, size_t length)
{
    const char *own = *xml->own.version ? xml->own.version : xml->parent.version;
    if (length == 15 && strncmp(name, "project.version", length) == 0)
        return own;
    if (length == 15 && strncmp(name, "project.groupId", length) == 0)
        return *xml->own.group ? xml->own.group : xml->parent.group;
    for (size_t i = 0; i < xml->property_count; i++)
        if (xml->properties[i].name && strlen(xml->properties[i].name) == length &&
            strncmp(xml->properties[i].name, name, length) == 0)
            return xml->properties[i].value;
    return NULL;
}

/* ${name}, once: a property that refers to another one stays as it is written. */
static const char *resolve(const struct xml *xml, const char *text)
{
    size_t length = strlen(text);
    if (length < 4 || strncmp(text, "${", 2) != 0 || text[length - 1] != '}')
        return text;
    const char *value = property(xml, text + 2, length - 3);
    return value ? value : text;
}

static const char *maven_scope(const struct artifact *artifact)
{
    if (artifact->optional)
        return "optional";
    if (strcmp(artifact->scope, "test") == 0 || strcmp(artifact->scope, "provided") == 0)
        return artifact->scope[0] == 't' ? "test" : "provided";
    return strcmp(artifact->scope, "system") == 0 ? "provided" : "runtime";
}

static void add_artifact(struct xml *xml, struct artifact *one)
{
    char name[2 * MANIFEST_TEXT_MAX + 2];
    for (size_t i = 0; i < xml->managed_count; i++) {
        const struct artifact *managed = &xml->managed[i];
        if (strcmp(managed->group, one->group) != 0 || strcmp(managed->name, one->name) != 0)
            continue;
        if (!*one->version)
            memcpy(one->version, managed->version, sizeof one->version);
        if (!*one->scope)
            memcpy(one->scope, managed->scope, sizeof one->scope);
    }
    snprintf(name, sizeof name, "%s:%s", resolve(xml, one->group), one->name);
    if (*one->name)
        manifest_add_string(xml->manifest, name, resolve(xml, one->version), maven_scope(one));
}

static void clear(struct xml *xml)
{
    for (size_t i = 0; i < xml->property_count; i++) {
        free(xml->properties[i].name);
        free(xml->properties[i].value);
    }
    free(xml->found);
    free(xml->managed);
    free(xml);
}

void manifest_read_maven(struct manifest *manifest, const char *text, size_t size)
{
    char name[2 * MANIFEST_TEXT_MAX + 2];
    struct xml *xml = calloc(1, sizeof *xml);
    if (!xml)
        return;
    xml->manifest = manifest;
    xml->end = on_maven;
    parse(xml, text, size);
    for (size_t i = 0; i < xml->found_count; i++)
        add_artifact(xml, &xml->found[i]);
    const char *group = *xml->own.group ? xml->own.group : xml->parent.group;
    snprintf(name, sizeof name, "%s%s%s", group, *group ? ":" : "", xml->own.name);
    if (*xml->own.name)
        manifest_set(manifest, "name", name);
    manifest_set(manifest, "version", resolve(xml, *xml->own.version ? xml->own.version : xml->parent.version));
    if (xml->licences == 1)
        manifest_set(manifest, "licence", xml->licence);
    clear(xml);
}

#define REFERENCE "/ItemGroup/PackageReference"

static void on_reference(struct xml *xml, const char **attributes)
{
    if (!value_ends(xml->path, REFERENCE))
        return;
    xml->current = (struct artifact){0};
    for (; *attributes; attributes += 2) {
        if (strcmp(attributes[0], "Include") == 0)
            snprintf(xml->current.name, sizeof xml->current.name, "%s", attributes[1]);
        else if (strcmp(attributes[0], "Version") == 0)
            snprintf(xml->current.version, sizeof xml->current.version, "%s", attributes[1]);
    }
}

/* The version may be an attribute or an element, so that a reference is known at its end. */
static void on_reference_end(struct xml *xml)
{
    if (value_ends(xml->path, REFERENCE "/Version"))
        keep(xml->current.version, sizeof xml->current.version, xml);
    else if (value_ends(xml->path, REFERENCE))
        manifest_add_string(xml->manifest, xml->current.name, xml->current.version, "runtime");
}

static void on_project(struct xml *xml)
{
    on_reference_end(xml);
    const char *leaf = leaf_of(xml, "/Project/PropertyGroup/");
    if (!leaf)
        return;
    if (strcmp(leaf, "PackageId") == 0)
        manifest_set(xml->manifest, "name", xml->text);
    else if (strcmp(leaf, "Version") == 0)
        manifest_set(xml->manifest, "version", xml->text);
    else if (strcmp(leaf, "PackageLicenseExpression") == 0)
        manifest_set(xml->manifest, "licence", xml->text);
}

void manifest_read_nuget(struct manifest *manifest, const char *text, size_t size)
{
    struct xml *xml = calloc(1, sizeof *xml);
    if (!xml)
        return;
    xml->manifest = manifest;
    xml->begin = on_reference;
    xml->end = on_project;
    parse(xml, text, size);
    clear(xml);
}
