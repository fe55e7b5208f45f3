#!/usr/bin/env bash
# Puts one file or folder on the branch colab, in place of what is there: push_colab.sh SOURCE NAME, in a workflow.
set -euo pipefail
source=$(realpath "$1") name=$2 commit=${GITHUB_SHA:?runs in a workflow}
remote="https://x-access-token:${TOKEN:?}@github.com/${GITHUB_REPOSITORY:?}.git"
folder=$(mktemp -d)
git init -q "$folder" && cd "$folder"
git config user.name "github-actions[bot]"
git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
if git fetch -q --depth 1 "$remote" colab; then git checkout -q -B colab FETCH_HEAD; else git checkout -q --orphan colab; fi
rm -rf -- "$name"
cp -r "$source" "$name"
git add -A
if git diff --cached --quiet; then echo "The branch colab holds this already."; exit 0; fi
git commit -qm "Notebooks of $commit" && git push -q "$remote" colab
