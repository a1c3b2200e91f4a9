#!/bin/sh
# What `make demo` shows: a workflow that releases a package, first well, then by personas with budgets, then with a test that fails.
# It runs in a clone of Clew, with the environment of `make` on the PATH, and with a model: MODEL names it, else stand_in.py serves one.
set -eu

example=$(cd "$(dirname "$0")" && pwd)
cd "$example/../.."
package=$PWD/.demo/lapse
export CLEW_DATA_DIR="$PWD/.demo/clew" GIT_PAGER=cat
if [ -n "${MODEL:-}" ]; then models=" -i model=$MODEL -i writer=$MODEL"; else models=; fi
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

say() { printf '\n%s\n' "$1"; }
show() { printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"; }
run() { show "$1"; eval "$1"; }
fails() { # a command that is meant to fail
    show "$1"
    if eval "$1"; then echo "it was meant to fail" >&2; exit 1; else echo "(exit code $?)"; fi
}

say "A little Python package in a git repository of its own, .demo/lapse: three commits since its last release."
run "python examples/package_release/repository.py .demo/lapse"
run "cd .demo/lapse"
say "The workflow release.yaml reads that log, tests, has models choose the version and write the changelog, builds, commits and tags."
[ -n "$models" ] || echo "The models' part is played by a script, over HTTP; make demo MODEL=openai:gpt-4.1-mini asks a real one."
run "clew run release.yaml --trace$models"
run "git show --stat --format='%h %d %s'"
run "clew show last"
run "clew cost --by model"
run "clew run release.yaml --dry-run"

say "The same release by three personas, in a Python program: who acts in which stage, gates, and a token budget for each."
run "python ../../examples/package_release/personas.py | tail -n 6"
run "clew show last"
run "clew budgets list"

say "Two commits later: one of them breaks a test, so the next run is meant to fail. The workflow has an edge for that."
run "python ../../examples/package_release/repository.py --later . | head -n 3"
fails "clew run release.yaml$models"
run "clew report last | head -n 18"

say "That is all of it: a failed run, told by its exit code and its report. Everything is in .demo. Type next:"
cat <<END
  export PATH="$(dirname "$(command -v clew)"):\$PATH" CLEW_DATA_DIR="$CLEW_DATA_DIR"
  clew runs                     # all three runs
  clew show last                # the tree of the one that failed
  clew report last              # all of its report
  clew search 'status:error'
  clew sql 'SELECT choice, confidence, reason FROM decisions'
  clew persona list
  clew graph $package/release.yaml
  less $package/release.yaml
END
