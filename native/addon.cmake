# The addon as a CMake target, for builds that node-gyp has no words for: sanitizers. What users
# install is built by binding.gyp; the warnings, the standard and the definitions are the same.
# cmake-js calls this and says in CMAKE_JS_INC where Node's headers (and so OpenSSL's) are.
if(NOT DEFINED CMAKE_JS_INC)
  return()
endif()

execute_process(
  COMMAND node -p "require('node-addon-api').include_dir"
  WORKING_DIRECTORY ${CMAKE_CURRENT_LIST_DIR}/..
  OUTPUT_VARIABLE NODE_ADDON_API_INCLUDE
  OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY)

file(GLOB_RECURSE MCBN_ADDON_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cc)
add_library(mcbn_addon MODULE EXCLUDE_FROM_ALL ${MCBN_ADDON_SOURCES})
set_target_properties(mcbn_addon PROPERTIES
  PREFIX "" OUTPUT_NAME mcbn SUFFIX .node
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/build/Release # where node-gyp-build looks
  CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
  CXX_VISIBILITY_PRESET hidden)
target_include_directories(mcbn_addon PRIVATE ${CMAKE_CURRENT_LIST_DIR})
# Relative to the root, because node-addon-api prints a path relative to it or an absolute one.
get_filename_component(NODE_ADDON_API_INCLUDE "${NODE_ADDON_API_INCLUDE}" ABSOLUTE
  BASE_DIR ${CMAKE_CURRENT_LIST_DIR}/..)
target_include_directories(mcbn_addon SYSTEM PRIVATE ${CMAKE_JS_INC} ${NODE_ADDON_API_INCLUDE})
target_compile_definitions(mcbn_addon PRIVATE
  NAPI_VERSION=9 NODE_ADDON_API_DISABLE_DEPRECATED NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS
  OPENSSL_API_COMPAT=30000 NODE_GYP_MODULE_NAME=mcbn BUILDING_NODE_EXTENSION)
target_compile_options(mcbn_addon PRIVATE
  -Wall -Wextra -Wno-unused-parameter -fno-exceptions -fno-rtti)
if(SANITIZE)
  target_compile_options(mcbn_addon PRIVATE
    -O1 -g -UNDEBUG -fno-omit-frame-pointer -fsanitize=${SANITIZE}
    -fno-sanitize-recover=all)
  target_link_options(mcbn_addon PRIVATE -fsanitize=${SANITIZE})
endif()
