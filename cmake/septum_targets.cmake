# The header-only targets. Each owns the headers that need its libraries, and nothing else.
#
# Headers of io/, and of every backend with a library of its own, stay out of septum::septum. What
# runs on a GPU is in septum::cuda and septum::cudnn; both open the libraries of CUDA when a program
# asks for them, so nothing of CUDA has to be installed to build or to start.
file(GLOB_RECURSE septum_headers CONFIGURE_DEPENDS include/septum/*.hpp)
set(septum_io_headers ${septum_headers})
list(FILTER septum_io_headers INCLUDE REGEX "/include/septum/io/")
set(septum_onednn_headers ${septum_headers})
list(FILTER septum_onednn_headers INCLUDE REGEX "/include/septum/backend/(detail/)?onednn[^/]*$")
set(septum_cudnn_headers ${septum_headers})
list(FILTER septum_cudnn_headers INCLUDE REGEX
     "/include/septum/(backend/(detail/)?cudnn|(net|sample|train)/device_)[^/]*$")
set(septum_cuda_headers ${septum_headers})
list(FILTER septum_cuda_headers INCLUDE REGEX
     "/include/septum/(backend/cuda.hpp|exec/cuda_|exec/detail/shared_|image/device_)")
list(FILTER septum_headers EXCLUDE REGEX "/include/septum/io/")
set(septum_mpi_headers "${PROJECT_SOURCE_DIR}/include/septum/exec/mpi.hpp")
list(REMOVE_ITEM septum_headers ${septum_mpi_headers})
foreach(component IN ITEMS onednn cuda cudnn)
  list(REMOVE_ITEM septum_headers ${septum_${component}_headers})
endforeach()

# septum_add_target(NAME HEADERS files... LINK targets...) defines septum::NAME.
function(septum_add_target name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;LINK")
  set(target septum_${name})
  add_library(${target} INTERFACE)
  add_library(septum::${name} ALIAS ${target})
  target_sources(${target} INTERFACE FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include"
                                     FILES ${arg_HEADERS})
  target_link_libraries(${target} INTERFACE ${arg_LINK})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name}
                                             VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL})
  install(
    TARGETS ${target}
    EXPORT septum-${name}-targets
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(
    EXPORT septum-${name}-targets
    NAMESPACE septum::
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/septum")
endfunction()

septum_add_target(
  septum
  HEADERS ${septum_headers}
  LINK Eigen3::Eigen xtensor OpenMP::OpenMP_CXX)
target_compile_features(septum_septum INTERFACE cxx_std_20)
if(SEPTUM_CHECKED)
  target_compile_definitions(septum_septum INTERFACE $<BUILD_INTERFACE:SEPTUM_CHECKED=1>)
endif()

set(septum_components "")
if(SEPTUM_WITH_ONEDNN)
  septum_add_target(onednn HEADERS ${septum_onednn_headers} LINK septum::septum oneDNN::dnnl)
  list(APPEND septum_components onednn)
endif()
if(SEPTUM_WITH_CUDA)
  septum_add_target(
    cuda
    HEADERS ${septum_cuda_headers}
    LINK septum::septum ${CMAKE_DL_LIBS})
  # Headers for nvcc are not among those that the C++ compiler checks one by one.
  install(
    DIRECTORY include/septum
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING
    PATTERN "*.cuh")
  list(APPEND septum_components cuda)
  septum_add_target(cudnn HEADERS ${septum_cudnn_headers} LINK septum::cuda)
  list(APPEND septum_components cudnn)
endif()
if(SEPTUM_WITH_MPI)
  septum_add_target(mpi HEADERS ${septum_mpi_headers} LINK septum::septum MPI::MPI_CXX)
  # The C++ binding that MPI has dropped does not compile without warnings.
  target_compile_definitions(septum_mpi INTERFACE OMPI_SKIP_MPICXX=1 MPICH_SKIP_MPICXX=1)
  list(APPEND septum_components mpi)
endif()
if(SEPTUM_WITH_IO)
  septum_add_target(
    io
    HEADERS ${septum_io_headers}
    LINK septum::septum TIFF::TIFF PNG::PNG ZLIB::ZLIB nlohmann_json::nlohmann_json)
  list(APPEND septum_components io)
endif()
