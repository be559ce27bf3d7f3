#!/usr/bin/env bash
# Runs `bazel test` on the BUILD files without network. Arguments go to Bazel; the default target is //...
# Debian: apt-get install bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-skylib bazel-platforms
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -d .venv/bin ]]; then
  export PATH="$PWD/.venv/bin:$PATH"
fi
if ! command -v bazel >/dev/null || [[ ! -d /usr/share/bazel/rules/java ]]; then
  echo "Bazel is missing. See the Debian packages at the top of $0." >&2
  exit 1
fi

# Under Bazel a test file is a program: one that does not call its main passes without running a test.
silent=$(find tests -name '*_test.py' -exec grep -L '__main__' {} +)
if [[ -n "$silent" ]]; then
  printf 'No main, so Bazel would run no test of:\n%s\n' "$silent" >&2
  exit 1
fi

# Debian's rules_cc is too new for its Bazel, and the coverage tools are not packaged: stand-ins for both.
stubs=$(mktemp -d)
trap 'rm -r "$stubs"' EXIT
mkdir -p "$stubs"/{cc/cc,coverage}
touch "$stubs"/{cc,coverage}/WORKSPACE "$stubs/cc/cc/BUILD"
for name in cc_library cc_binary cc_test cc_import cc_toolchain cc_toolchain_suite cc_proto_library \
    fdo_prefetch_hints fdo_profile objc_library objc_import; do
  echo "$name = native.$name"
done >"$stubs/cc/cc/defs.bzl"
echo 'filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])' \
  >"$stubs/coverage/BUILD"

bazel --max_idle_secs=60 test --nosandbox_debug \
  --override_repository=rules_java=/usr/share/bazel/rules/java \
  --override_repository=rules_proto=/usr/share/bazel/rules/proto \
  --override_repository=rules_cc="$stubs/cc" \
  --override_repository=remote_coverage_tools="$stubs/coverage" \
  "${@:-//...}"
