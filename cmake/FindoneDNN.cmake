# Finds oneDNN by its header and its library.
#
# Debian's own dnnl-config.cmake fails unless the OpenCL headers happen to be installed, so it is
# not used. Defines oneDNN_FOUND, oneDNN_VERSION and the imported target oneDNN::dnnl.
find_path(oneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(oneDNN_LIBRARY dnnl)
mark_as_advanced(oneDNN_INCLUDE_DIR oneDNN_LIBRARY)

set(oneDNN_VERSION "")
if(oneDNN_INCLUDE_DIR AND EXISTS "${oneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h")
  file(STRINGS "${oneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h" _oneDNN_lines
       REGEX "^#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
  list(TRANSFORM _oneDNN_lines REPLACE "^#define DNNL_VERSION_[A-Z]+ +([0-9]+).*$" "\\1")
  list(JOIN _oneDNN_lines "." oneDNN_VERSION)
  unset(_oneDNN_lines)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  oneDNN
  REQUIRED_VARS oneDNN_LIBRARY oneDNN_INCLUDE_DIR
  VERSION_VAR oneDNN_VERSION)

if(oneDNN_FOUND AND NOT TARGET oneDNN::dnnl)
  add_library(oneDNN::dnnl UNKNOWN IMPORTED)
  set_target_properties(
    oneDNN::dnnl PROPERTIES IMPORTED_LOCATION "${oneDNN_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES
                                                                   "${oneDNN_INCLUDE_DIR}")
endif()
