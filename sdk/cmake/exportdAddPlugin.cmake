# exportd_add_plugin(NAME sources…)
#
# Builds NAME.so, with all that a plugin needs: a module without a prefix, hidden symbols, every symbol resolved, only
# the libraries that it uses, and none of theirs handed on. Link exportd::kit and others with target_link_libraries().
#
# Installs it into the host's plugin folder, conf.d/NAME.conf where the project has one into the host's, and a file
# "copyright" where the project has one: below the host's own prefix, unless CMAKE_INSTALL_PREFIX is given. With include(CPack) behind it, `cpack -G DEB` and `cpack -G RPM` make the
# package exportd-plugin-NAME: it depends on exportd and on the libraries that the plugin is linked with, and its
# settings are a configuration file, which an upgrade leaves as it was edited. What the project sets before goes first:
# CPACK_PACKAGE_CONTACT (a maintainer's name and address; should be set), CPACK_PACKAGE_VERSION (else the project's),
# CPACK_PACKAGE_DESCRIPTION_SUMMARY (else the project's DESCRIPTION), CPACK_DEBIAN_PACKAGE_DEPENDS,
# CPACK_RPM_PACKAGE_REQUIRES, CPACK_RPM_PACKAGE_LICENSE.

function(exportd_add_plugin name)
  if(NOT name MATCHES "^[a-z0-9][a-z0-9.+-]*$")
    message(FATAL_ERROR "exportd_add_plugin: \"${name}\" can't be a package's name; use a-z, 0-9 and \"-\"")
  endif()
  if(NOT ARGN)
    message(FATAL_ERROR "exportd_add_plugin(${name}): no sources are given; name the .c files behind the name")
  endif()
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE exportd::sdk)
  set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
                        VISIBILITY_INLINES_HIDDEN ON)
  target_link_options(${name} PRIVATE LINKER:-z,relro,-z,now LINKER:--as-needed LINKER:--exclude-libs,ALL)
  # A sanitizer's own symbols are those of the program that maps the plugin.
  if(NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS} ${CMAKE_MODULE_LINKER_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()

  if(CMAKE_INSTALL_PREFIX_INITIALIZED_TO_DEFAULT)
    set_property(CACHE CMAKE_INSTALL_PREFIX PROPERTY VALUE "${EXPORTD_PREFIX}")
  endif()
  install(TARGETS ${name} LIBRARY DESTINATION "${EXPORTD_PLUGIN_DESTINATION}" COMPONENT ${name})
  set(conf "${CMAKE_CURRENT_SOURCE_DIR}/conf.d/${name}.conf")
  if(EXISTS "${conf}")
    install(FILES "${conf}" DESTINATION "${EXPORTD_CONF_DESTINATION}" COMPONENT ${name})
  endif()
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/copyright")
    install(FILES copyright DESTINATION "share/doc/exportd-plugin-${name}" COMPONENT ${name})
  endif()
  exportd_package_plugin(${name})
  foreach(variable IN LISTS exportd_package_variables)
    set(${variable} "${${variable}}" PARENT_SCOPE)
  endforeach()
endfunction()

# Sets what CPack is to know of the plugin, in exportd_add_plugin()'s scope, and their names in exportd_package_variables.
macro(exportd_package_plugin name)
  string(TOUPPER "${name}" upper)
  set(exportd_package_variables "")
  exportd_package_default(CPACK_PACKAGE_NAME "exportd-plugin-${name}")
  exportd_package_default(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
  exportd_package_default(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
  exportd_package_default(CPACK_PACKAGE_DESCRIPTION_SUMMARY "exportd's plugin ${name}")
  exportd_package_default(CPACK_PACKAGE_CONTACT "Nobody in particular <nobody@localhost>")
  exportd_package_default(CPACK_PACKAGE_VENDOR "${PROJECT_NAME}")
  exportd_package_default(CPACK_PACKAGING_INSTALL_PREFIX "${EXPORTD_PREFIX}")
  exportd_package_default(CPACK_VERBATIM_VARIABLES ON)
  # Whatever the author's umask is: dpkg gives these modes to folders that it makes, /etc/exportd among them.
  exportd_package_default(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  exportd_package_default(CPACK_STRIP_FILES ON)
  exportd_package_default(CPACK_DEB_COMPONENT_INSTALL ON)
  exportd_package_default(CPACK_RPM_COMPONENT_INSTALL ON)
  exportd_package_default(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

  exportd_package_default(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  exportd_package_default(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  exportd_package_default(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
  exportd_package_default(CPACK_DEBIAN_COMPRESSION_TYPE xz)
  exportd_package_default(CPACK_DEBIAN_${upper}_PACKAGE_NAME "exportd-plugin-${name}")
  exportd_package_default(CPACK_DEBIAN_${upper}_PACKAGE_SECTION net)
  exportd_package_default(CPACK_DEBIAN_${upper}_DESCRIPTION "A plugin of exportd, the host for export plugins.")
  set(depends "exportd (>= ${exportd_VERSION})")
  if(CPACK_DEBIAN_PACKAGE_DEPENDS)
    string(APPEND depends ", ${CPACK_DEBIAN_PACKAGE_DEPENDS}")
  endif()
  exportd_package_default(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${depends}")

  exportd_package_default(CPACK_RPM_FILE_NAME RPM-DEFAULT)
  exportd_package_default(CPACK_RPM_PACKAGE_RELOCATABLE OFF)
  exportd_package_default(CPACK_RPM_PACKAGE_AUTOREQ ON)
  # A plugin is no library that others could need.
  exportd_package_default(CPACK_RPM_SPEC_MORE_DEFINE "%define __provides_exclude_from ^${EXPORTD_PLUGIN_DIR}/.*$")
  exportd_package_default(CPACK_RPM_PACKAGE_LICENSE "unstated")
  exportd_package_default(CPACK_RPM_${upper}_PACKAGE_NAME "exportd-plugin-${name}")
  exportd_package_default(CPACK_RPM_PACKAGE_GROUP "System Environment/Daemons")
  exportd_package_default(CPACK_RPM_PACKAGE_DESCRIPTION "A plugin of exportd, the host for export plugins.")
  set(requires "exportd >= ${exportd_VERSION}")
  if(CPACK_RPM_PACKAGE_REQUIRES)
    string(APPEND requires ", ${CPACK_RPM_PACKAGE_REQUIRES}")
  endif()
  exportd_package_default(CPACK_RPM_${upper}_PACKAGE_REQUIRES "${requires}")
  exportd_package_default(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    "${EXPORTD_PLUGIN_DIR};${EXPORTD_CONF_DIR};/etc/exportd;/usr/lib/exportd;/usr/lib64/exportd")

  if(EXISTS "${conf}")
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${name}.package/conffiles" "${EXPORTD_CONF_DIR}/${name}.conf\n")
    exportd_package_default(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_BINARY_DIR}/${name}.package/conffiles")
    exportd_package_default(CPACK_RPM_${upper}_USER_FILELIST "%config(noreplace) ${EXPORTD_CONF_DIR}/${name}.conf")
  endif()
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${name})
  list(APPEND exportd_package_variables CPACK_COMPONENTS_ALL)
endmacro()

macro(exportd_package_default variable)
  if(NOT DEFINED ${variable} OR "${${variable}}" STREQUAL "")
    set(${variable} "${ARGN}")
    list(APPEND exportd_package_variables ${variable})
  endif()
endmacro()
