# The package that find_package(septum COMPONENTS onednn io) reads.
include(CMakePackageConfigHelpers)
set(septum_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/septum")

configure_package_config_file(
  cmake/septum-config.cmake.in "${PROJECT_BINARY_DIR}/septum-config.cmake"
  INSTALL_DESTINATION "${septum_package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/septum-config-version.cmake"
  COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/septum-config.cmake"
              "${PROJECT_BINARY_DIR}/septum-config-version.cmake" cmake/FindoneDNN.cmake
              cmake/septum_cuda_kernels.cmake cmake/septum_cuda_kernels.cpp.in
              cmake/septum_cuda_kernels.cu
        DESTINATION "${septum_package_dir}")
