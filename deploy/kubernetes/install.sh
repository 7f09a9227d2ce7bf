#!/bin/sh
# Install or upgrade the whole platform: install.sh FOLDER [--dry-run]
#
# FOLDER   your copy of deploy/kubernetes-example: kustomization.yaml, *.env, dagster-values.yaml
# IMAGE    the Dagster image with dagster-k8s, repository:tag (else that of dagster-values.yaml)
# CHART    Dagster's chart: a folder or an archive (else of the repository of charts)
# CONTEXT  of kubectl and helm (else the current one)
# --dry-run prints what would be applied, secrets included, and reaches no cluster.
set -eu
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || usage
folder=$1 dry=
case ${2:-} in '') ;; --dry-run) dry=yes ;; *) usage ;; esac
for program in kubectl helm; do
  command -v "$program" >/dev/null || { echo "install.sh: $program is not installed" >&2; exit 1; }
done
# The chart, the image and the lock file have the same number.
version=$(sed -n 's/^dagster==\([^ ]*\).*/\1/p' "$here/../requirements/mlflow-3.txt")

for secret in dagster-postgresql mlflow wine-quality; do
  file=$folder/$secret.env
  [ -f "$file" ] || { echo "install.sh: $file is missing; copy $secret.env.example" >&2; exit 1; }
  # The history may be left out; no other secret may.
  empty=$(sed -n 's/^\([A-Za-z][A-Za-z0-9_-]*\)=$/\1/p' "$file" | grep -v '^WINE_QUALITY_METRICS_URL$' || true)
  [ -z "$empty" ] || { echo "install.sh: $file has no value for" $empty >&2; exit 1; }
done

set -- --namespace wine-quality -f "$here/dagster-values.yaml"
[ ! -f "$folder/dagster-values.yaml" ] || set -- "$@" -f "$folder/dagster-values.yaml"
if [ -n "${IMAGE:-}" ]; then
  for part in dagsterWebserver dagsterDaemon 'dagster-user-deployments.deployments[0]'; do
    set -- "$@" --set "$part.image.repository=${IMAGE%:*}" --set-string "$part.image.tag=${IMAGE##*:}"
  done
fi
if [ -n "${CHART:-}" ]; then
  set -- dagster "$CHART" "$@"
else
  set -- dagster dagster --repo https://dagster-io.github.io/helm --version "$version" "$@"
fi

if [ -n "$dry" ]; then
  kubectl kustomize "$folder"
  echo ---
  exec helm template "$@"
fi
context=${CONTEXT:-$(kubectl config current-context)}
kubectl --context "$context" apply -k "$folder"
# Tables are made before Dagster asks for them. A ConfigMap's change reaches a pod when it starts anew.
for server in $(kubectl --context "$context" get deployment --namespace wine-quality \
  -l app.kubernetes.io/name=mlflow -o name); do
  kubectl --context "$context" rollout restart --namespace wine-quality "$server"
  kubectl --context "$context" rollout status --namespace wine-quality --timeout 10m "$server"
done
exec helm upgrade --install --kube-context "$context" --wait --timeout 15m "$@"
