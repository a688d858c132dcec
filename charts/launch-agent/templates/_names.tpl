{{- define "launch-agent.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "launch-agent.labels" -}}
{{ include "launch-agent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "launch-agent.selector" -}}
app.kubernetes.io/name: launch-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "launch-agent.account" -}}
{{- .Values.serviceAccount.name | default (include "launch-agent.name" .) -}}
{{- end -}}
