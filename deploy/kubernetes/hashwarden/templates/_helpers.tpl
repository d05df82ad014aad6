{{- define "hashwarden.name" -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "hashwarden.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "hashwarden.name" .) -}}
{{- end -}}

{{- define "hashwarden.selector" -}}
app.kubernetes.io/name: hashwarden
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hashwarden.labels" -}}
{{ include "hashwarden.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Whether the service account may write anything: "true" or empty. */}}
{{- define "hashwarden.acts" -}}
{{- with .Values.actions -}}{{- if or .warn .evict .delete .cordon -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* Whether the API server is asked at all. */}}
{{- define "hashwarden.asks" -}}
{{- if or .Values.jobs.api (include "hashwarden.acts" .) -}}true{{- end -}}
{{- end -}}

{{/* Whether the processes of the node have to be seen. */}}
{{- define "hashwarden.hostPid" -}}
{{- if or .Values.jobs.processes .Values.sources.launches .Values.sources.code -}}true{{- end -}}
{{- end -}}

{{/* Capabilities, as a JSON list. */}}
{{- define "hashwarden.capabilities" -}}
{{- $found := list -}}
{{- with .Values.sources -}}
{{- if .launches -}}{{- $found = concat $found (list "BPF" "PERFMON") -}}{{- end -}}
{{- if or .launches .code -}}{{- $found = concat $found (list "DAC_READ_SEARCH" "SYS_PTRACE") -}}{{- end -}}
{{- if .code -}}{{- $found = concat $found (list "SETGID" "SETUID" "SYS_CHROOT") -}}{{- end -}}
{{- if and .launches $.Values.oldKernel -}}{{- $found = concat $found (list "SYS_ADMIN" "SYS_RESOURCE") -}}{{- end -}}
{{- if .pm -}}{{- $found = append $found "SYS_ADMIN" -}}{{- end -}}
{{- end -}}
{{- $found | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The agent's configuration file. */}}
{{- define "hashwarden.config" -}}
{{- $sources := list -}}
{{- range $name, $on := .Values.sources -}}{{- if $on -}}{{- $sources = append $sources $name -}}{{- end -}}{{- end -}}
{{- $providers := list -}}
{{- if or .Values.jobs.podResources .Values.jobs.api -}}{{- $providers = append $providers "kubernetes" -}}{{- end -}}
{{- if include "hashwarden.hostPid" . -}}{{- $providers = append $providers "sessions" -}}{{- end -}}
{{- $schedulers := list -}}
{{- if include "hashwarden.acts" . -}}{{- $schedulers = append $schedulers "kubernetes" -}}{{- end -}}
{{- $config := dict
    "state_dir" "/var/lib/hashwarden"
    "run_dir" "/run/hashwarden"
    "http" (dict "listen" "0.0.0.0:9475")
    "sources" (dict "names" $sources)
    "jobs" (dict "providers" $providers "pod_resources" "/var/lib/kubelet/pod-resources")
    "schedulers" (dict "names" $schedulers)
-}}
{{- if .Values.policy -}}{{- $_ := set $config "policy" "/etc/hashwarden/policy.toml" -}}{{- end -}}
{{- toToml (mergeOverwrite $config (deepCopy .Values.config)) -}}
{{- end -}}
