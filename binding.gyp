{
  # What users install. Sanitizer, fuzz and native-test builds live in native/CMakeLists.txt.
  # OpenSSL's symbols are resolved from the running node process: no libssl or libcrypto is linked.
  "targets": [
    {
      "target_name": "mcbn",
      "sources": ["<!@(node -p \"require('fs').readdirSync('native',{recursive:true}).filter(f=>f.endsWith('.cc')).map(f=>'native/'+f).sort().join(' ')\")"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "native"],
      # An environment that ends refuses calls: a worker that is terminated must not take the process along.
      # NAPI_VERSION 9 is what Node 20 has: the same binary then loads in every later release.
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS", "OPENSSL_API_COMPAT=30000"],
      "cflags_cc": ["-std=c++20", "-O3", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections"],
      # The same bytes from every folder: participants compare the digest of the image that the addon is in.
      "conditions": [["OS=='linux'", {
        "cflags_cc": ["-ffile-prefix-map=<(module_root_dir)/="],
        "ldflags": ["-Wl,--build-id=none"]
      }]],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O2"],
      "ldflags": ["-Wl,-z,now", "-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,--gc-sections"],
      "xcode_settings": {
        "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
        "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
        "GCC_ENABLE_CPP_RTTI": "NO",
        "MACOSX_DEPLOYMENT_TARGET": "11.0",
        "OTHER_LDFLAGS": ["-undefined", "dynamic_lookup"]
      }
    }
  ]
}
