# Builds and runs the small project in tests/consumer/<WAY> against this copy of septum.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")
set(options -G "${GENERATOR}" "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_C_COMPILER=${C}"
            "-DCOMPONENTS=${COMPONENTS}" -DCMAKE_BUILD_TYPE=Debug)
if(WAY STREQUAL "find_package")
  run("${CMAKE_COMMAND}" --install "${SEPTUM_BINARY_DIR}" --prefix "${WORK_DIR}/prefix")
  list(APPEND options "-DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix")
else()
  list(APPEND options "-DSEPTUM_SOURCE_DIR=${SEPTUM_SOURCE_DIR}")
endif()
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/${WAY}" -B "${WORK_DIR}/build" ${options})
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build")
execute_process(COMMAND "${WORK_DIR}/build/user" WORKING_DIRECTORY "${WORK_DIR}"
                COMMAND_ERROR_IS_FATAL ANY)
