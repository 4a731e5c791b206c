{{- /*
Names. They are fixed, and not made from the release's name: the operator's Lease, its name key and its claims have one name
each, so there is one operator in a namespace, and a second release there would fight with the first. Helm refuses it
instead, as the objects are another release's. What is the cluster's has the release's namespace in its name: releases in
several namespaces do not meet there. A namespace has no colon, so no two names of roles can be the same.
*/}}
{{- define "timbr-identity-operator.ofCluster" -}}
timbr-identity-operator-{{ .Release.Namespace }}
{{- end }}

{{- define "timbr-identity-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: timbr-identity
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* By these the pods are found. They can never change. */}}
{{- define "timbr-identity-operator.selector" -}}
app.kubernetes.io/name: timbr-identity
app.kubernetes.io/component: operator
{{- end }}

{{- define "timbr-identity-operator.account" -}}
- kind: ServiceAccount
  name: timbr-identity-operator
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{- /* The namespaces that are watched, as a list in JSON. Empty with clusterWide. */}}
{{- define "timbr-identity-operator.watched" -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{ .Values.watchNamespaces | default (list .Release.Namespace) | toJson }}
{{- end -}}
{{- end }}

{{- /* The same for a list in CEL. */}}
{{- define "timbr-identity-operator.watchedInCel" -}}
{{- range $i, $name := include "timbr-identity-operator.watched" . | fromJsonArray -}}
{{- if $i }}, {{ end -}}
'{{ $name }}'
{{- end -}}
{{- end }}

{{- define "timbr-identity-operator.image" -}}
{{- $repository := required "image.repository is required: there is no published image. Build it from the Dockerfile, push it where your cluster pulls from, and name it, as in --set image.repository=registry.example.com/timbr-identity" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Values that do not go together. */}}
{{- define "timbr-identity-operator.check" -}}
{{- if and .Values.clusterWide .Values.watchNamespaces }}
{{- fail "clusterWide and watchNamespaces do not go together: clusterWide looks after all namespaces. Set one of the two" }}
{{- end }}
{{- if and (eq .Values.cloud "custom") (not (and .Values.authorityUrl .Values.graphUrl .Values.vaultSuffix)) }}
{{- fail "cloud: custom needs authorityUrl, graphUrl and vaultSuffix: nobody else knows where a cloud of your own is" }}
{{- end }}
{{- if and .Values.webhook.certManager.enabled (not .Values.webhook.enabled) }}
{{- fail "webhook.certManager.enabled needs webhook.enabled: without a webhook there is no certificate to make" }}
{{- end }}
{{- end }}
