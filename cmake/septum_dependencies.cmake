# Finds what the enabled parts need, and says once, for all that is missing, how to get it.
set(septum_missing_packages "")

# septum_require(TARGET, Debian package, find_package arguments...)
macro(septum_require target package)
  find_package(${ARGN} QUIET)
  if(NOT TARGET ${target})
    list(APPEND septum_missing_packages ${package})
  endif()
endmacro()

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(septum_openmp_package libomp-dev)
else()
  set(septum_openmp_package g++)
endif()

septum_require(OpenMP::OpenMP_CXX ${septum_openmp_package} OpenMP COMPONENTS CXX)
septum_require(Eigen3::Eigen libeigen3-dev Eigen3 3.4)
septum_require(xtensor libxtensor-dev xtensor 0.24)
if(SEPTUM_WITH_ONEDNN)
  septum_require(oneDNN::dnnl libdnnl-dev oneDNN 2.6)
endif()
if(SEPTUM_WITH_IO)
  septum_require(TIFF::TIFF libtiff-dev TIFF)
  septum_require(PNG::PNG libpng-dev PNG)
  septum_require(ZLIB::ZLIB zlib1g-dev ZLIB)
  septum_require(nlohmann_json::nlohmann_json nlohmann-json3-dev nlohmann_json 3.11)
endif()
if(SEPTUM_WITH_MPI)
  septum_require(MPI::MPI_CXX "libopenmpi-dev openmpi-bin" MPI COMPONENTS CXX)
endif()
if(SEPTUM_BUILD_TESTS)
  septum_require(Boost::unit_test_framework libboost-test-dev Boost 1.74 COMPONENTS
                 unit_test_framework)
  septum_require(Python3::Interpreter python3 Python3 3.9 COMPONENTS Interpreter)
endif()
if(SEPTUM_BUILD_EXAMPLES)
  septum_require(CLI11::CLI11 libcli11-dev CLI11 2.1)
  septum_require(tomlplusplus::tomlplusplus libtomlplusplus-dev tomlplusplus 3.0)
endif()

if(septum_missing_packages)
  list(REMOVE_DUPLICATES septum_missing_packages)
  list(JOIN septum_missing_packages " " septum_missing_packages)
  message(
    FATAL_ERROR
      "septum: some libraries were not found. On Debian or Ubuntu:\n"
      "  apt-get install ${septum_missing_packages}\n"
      "Or leave out what needs them: -DSEPTUM_WITH_ONEDNN=OFF, -DSEPTUM_WITH_IO=OFF, "
      "-DSEPTUM_BUILD_TESTS=OFF, -DSEPTUM_BUILD_EXAMPLES=OFF.")
endif()
