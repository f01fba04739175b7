#!/usr/bin/env bash
# npm run check:native: everything that a compiler, clang-tidy, the sanitizers and the fuzzers can
# say about native/. Builds go to build/sanitize/, which `rm -rf build` removes.
#
#   check-native.sh [tidy] [build] [asan] [tsan] [suite] [fuzz]      all of them without an argument
#
#   tidy    clang-tidy over native/ (left out where it is not installed, unless CI=true)
#   build   compiles what the others run, and runs none of it
#   asan    the native tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan    the native tests under ThreadSanitizer
#   suite   the vitest files that run native code in their own process, on an addon built with ASan and UBSan
#   fuzz    each fuzzer for FUZZ_SECONDS (20) seconds, from its corpus
set -u -o pipefail
cd "$(dirname "$0")/.."

readonly OUT=$PWD/build/sanitize
readonly FUZZ_SECONDS=${FUZZ_SECONDS:-20}
readonly CLANG_VERSION=14
readonly JOBS=2
# clang compiles code with UndefinedBehaviorSanitizer in a fourth of g++'s time, and checks as much.
readonly CLANG=$(command -v clang++-$CLANG_VERSION || command -v clang++)
readonly COMPILER=${CLANG:-$(command -v g++)}
readonly ASAN_RUNTIME=$([ -n "$CLANG" ] && echo "libclang_rt.asan-$(uname -m).so" || echo libasan.so)
export CMAKE_BUILD_PARALLEL_LEVEL=$JOBS
failed=()

main() {
  local wanted=("$@")
  [ $# -gt 0 ] || wanted=(tidy build asan tsan suite fuzz)
  for part in "${wanted[@]}"; do
    local began=$SECONDS
    printf '\n--- check:native %s\n' "$part"
    if "check_$part"; then
      printf -- '--- check:native %s: passed in %s s\n' "$part" $((SECONDS - began))
    else
      printf -- '--- check:native %s: FAILED after %s s\n' "$part" $((SECONDS - began))
      failed+=("$part")
    fi
  done
  [ ${#failed[@]} -eq 0 ] || { echo "check:native failed: ${failed[*]}" >&2; exit 1; }
}

# Includes of the addon: Node's headers (with OpenSSL's among them) and node-addon-api.
node_headers() {
  node --input-type=module -e "
    import { headersBesideNode } from './scripts/headers.mjs'
    const prefix = process.env.npm_config_nodedir ?? headersBesideNode().npm_config_nodedir
    if (!prefix) throw new Error('no headers beside node: set npm_config_nodedir=<prefix>')
    console.log(prefix)"
}

check_tidy() {
  local tidy
  tidy=$(command -v clang-tidy-$CLANG_VERSION || command -v clang-tidy) || {
    echo 'clang-tidy is not installed (Debian: clang-tidy-14)'
    [ "${CI:-}" != true ]
    return
  }
  local prefix api
  prefix=$(node_headers) || return
  api=$(node -p "require('node-addon-api').include_dir") || return
  find native -name '*.cc' -print0 | sort -z | xargs -0 -I{} -P $JOBS "$tidy" --quiet {} -- \
    -std=c++20 -fno-exceptions -fno-rtti -Inative -isystem "$prefix/include/node" -isystem "$api" \
    -DNAPI_VERSION=9 -DNODE_ADDON_API_DISABLE_DEPRECATED -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS \
    -DOPENSSL_API_COMPAT=30000 2> >(grep -v 'warnings\? generated\|^Suppressed\|^Use -' >&2)
}

check_build() {
  local status=0
  native_build asan address,undefined || status=1
  native_build tsan thread || status=1
  addon_build || status=1
  [ -z "$CLANG" ] || fuzz_build || status=1
  return $status
}

check_asan() { native_tests asan address,undefined; }

check_tsan() { native_tests tsan thread; }

native_tests() {
  native_build "$1" "$2" && ctest --test-dir "$OUT/$1" --output-on-failure --parallel $JOBS
}

# What is compiled already is not compiled again.
native_build() {
  local dir=$OUT/$1 sanitize=$2
  cmake -S native -B "$dir" -DSANITIZE="$sanitize" -DCMAKE_CXX_COMPILER="$COMPILER" \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O1 -g' >"$OUT-$1.log" 2>&1 &&
    cmake --build "$dir" --target native_tests >>"$OUT-$1.log" 2>&1 || {
    tail -40 "$OUT-$1.log"
    return 1
  }
}

addon_build() {
  npm_config_nodedir=$(node_headers) npx --no-install cmake-js build -d native \
    -O "$OUT/addon/build" -T addon -p $JOBS --CDSANITIZE=address,undefined \
    --CDCMAKE_CXX_COMPILER="$COMPILER" --CDCMAKE_CXX_FLAGS_RELEASE='-O1 -g' >"$OUT-addon.log" 2>&1 || {
    tail -40 "$OUT-addon.log"
    return 1
  }
}

check_suite() {
  local status=0
  addon_build || return
  rm -rf "$OUT/reports" && mkdir -p "$OUT/reports" || return
  # Every call into the addon is made by these, in the test's own process: errors abort it and so fail the
  # test, leaks are judged afterwards, because node has its own. Without frame pointers in node only the
  # slow unwinder gets from OpenSSL's malloc back to the addon that called it.
  sanitized slow "detect_leaks=1:symbolize=0:fast_unwind_on_malloc=0:malloc_context_size=12" \
    test/native test/tls test/dtls || status=1
  # What other libraries and damaged datagrams make the same calls meet: for errors only, which is faster.
  # Not the commands, examples and the consent above: they call the addon through src/tls and src/dtls alone,
  # which the files above do in every way; their own processes would only be slower.
  sanitized fast detect_leaks=0 test/lossy test/interop test/consent/workload/network.test.ts \
    --exclude 'test/interop/{cli,key-text,commands}*' || status=1
  node scripts/sanitizer-reports.mjs "$OUT/reports" "$OUT/addon/build/Release/mcbn.node" || status=1
  return $status
}

# sanitized NAME ASAN_OPTIONS [vitest filter...]: MCBN_ADDON names the addon.
sanitized() {
  local name=$1 options=$2
  shift 2
  MCBN_ADDON=$OUT/addon/build/Release/mcbn.node MCBN_TEST_SLOWDOWN=6 MCBN_SANITIZED=$name \
    LD_PRELOAD="$("$COMPILER" -print-file-name="$ASAN_RUNTIME")" \
    ASAN_OPTIONS="abort_on_error=1:alloc_dealloc_mismatch=0:log_path=$OUT/reports/$name:$options" \
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 LSAN_OPTIONS=exitcode=0 \
    node node_modules/vitest/vitest.mjs run --reporter=dot --reporter=./scripts/second-attempts.mjs \
      --reporter=./scripts/stalled-tests.mjs "$@"
}

check_fuzz() {
  local status=0
  [ -n "$CLANG" ] || {
    echo 'clang++ is not installed (Debian: clang-14 libclang-rt-14-dev)'
    [ "${CI:-}" != true ]
    return
  }
  fuzz_build || return
  local fuzzer running=()
  for fuzzer in "$OUT"/fuzz/fuzz_*; do
    [ -x "$fuzzer" ] && [ -f "$fuzzer" ] || continue
    fuzz_one "$fuzzer" &
    running+=($!)
    # As many beside each other as there are cores.
    [ ${#running[@]} -lt $JOBS ] && continue
    wait "${running[0]}" || status=1
    running=("${running[@]:1}")
  done
  for fuzzer in "${running[@]}"; do wait "$fuzzer" || status=1; done
  return $status
}

fuzz_build() {
  cmake -S native -B "$OUT/fuzz" -DFUZZ=ON -DCMAKE_CXX_COMPILER="$CLANG" >"$OUT-fuzz.log" 2>&1 &&
    cmake --build "$OUT/fuzz" >>"$OUT-fuzz.log" 2>&1 || {
    tail -40 "$OUT-fuzz.log"
    return 1
  }
}

fuzz_one() {
  local fuzzer=$1 name status=0
  name=$(basename "$fuzzer")
  # New inputs go to a scratch folder: the committed corpus stays as small as it is.
  mkdir -p "$OUT/corpus/$name"
  "$fuzzer" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$OUT/$name-" "$OUT/corpus/$name" "fuzz/corpus/${name#fuzz_}" \
    >"$OUT-$name.log" 2>&1 || { tail -40 "$OUT-$name.log"; status=1; }
  echo "$name, $FUZZ_SECONDS s: $(sed -n 's/^stat::\(number_of_executed_units\|average_exec_per_sec\): */\1 /p' "$OUT-$name.log" | xargs)"
  return $status
}

mkdir -p "$OUT"
main "$@"
