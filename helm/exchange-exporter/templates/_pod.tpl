{{/* The parts of a pod that the exporter and the relay have in common. dict root, v (the part's
values), part ("" or "relay"). */}}
{{- define "exchange-exporter.podMetadata" -}}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" (.part | default "exporter") -}}
{{- if and (include "exchange-exporter.ownConfig" .v) (not (and (not .part) .v.configReloader.enabled)) -}}
{{- $config := ternary "exchange-exporter.relayConfig" "exchange-exporter.config" (eq .part "relay") -}}
{{- $_ := set $annotations "checksum/config" (include $config .root | sha256sum) -}}
{{- end -}}
annotations:
  {{- mergeOverwrite $annotations (deepCopy .v.podAnnotations) | toYaml | nindent 2 }}
labels:
  {{- include "exchange-exporter.labels" (dict "root" .root "part" .part "extra" (list .v.podLabels)) | nindent 2 }}
{{- end -}}

{{- define "exchange-exporter.podSpec" -}}
serviceAccountName: {{ include "exchange-exporter.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "exchange-exporter.pullSecrets" .root }}
{{- with .v.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ .v.terminationGracePeriodSeconds }}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $.v $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "hostAliases" "dnsConfig" }}
{{- with get $.v $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .v.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ mergeOverwrite (dict "labelSelector" (dict "matchLabels" (include "exchange-exporter.selectorLabels" $ | fromYaml))) . | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with .v.extraInitContainers }}
initContainers:
  {{- include "exchange-exporter.tpl" (dict "root" $.root "value" .) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A value that may be YAML, or text with templates in it: dict root, value. */}}
{{- define "exchange-exporter.tpl" -}}
{{- tpl (ternary .value (toYaml .value) (kindIs "string" .value)) .root -}}
{{- end -}}

{{/* What stands in the main container after its command: dict root, v, part, port (number). */}}
{{- define "exchange-exporter.container" -}}
image: {{ include "exchange-exporter.ownImage" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with .v.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http
    containerPort: {{ .port }}
    protocol: TCP
{{- with .v.extraEnv }}
env:
  {{- include "exchange-exporter.tpl" (dict "root" $.root "value" .) | nindent 2 }}
{{- end }}
{{- with .v.extraEnvFrom }}
envFrom:
  {{- include "exchange-exporter.tpl" (dict "root" $.root "value" .) | nindent 2 }}
{{- end }}
{{- range $key := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with get $.v $key }}
{{- $probe := deepCopy . }}
{{- if and $probe.httpGet (not $.part) (include "exchange-exporter.webSecret" $.root) }}
{{- $_ := set $probe "httpGet" (set $probe.httpGet "scheme" (upper $.root.Values.webConfig.scheme)) }}
{{- end }}
{{ $key }}:
  {{- toYaml $probe | nindent 2 }}
{{- end }}
{{- end }}
{{- with .v.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .v.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Mounts of what users add: dict v. */}}
{{- define "exchange-exporter.extraMounts" -}}
{{- range concat .v.extraConfigmapMounts .v.extraSecretMounts }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  {{- with .subPath }}
  subPath: {{ . }}
  {{- end }}
  readOnly: {{ dig "readOnly" true . }}
{{- end }}
{{- with .v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Volumes of what users add: dict root, v. */}}
{{- define "exchange-exporter.extraVolumes" -}}
{{- range .v.extraConfigmapMounts }}
- name: {{ .name }}
  configMap:
    name: {{ tpl .configMap $.root }}
    defaultMode: {{ dig "defaultMode" 288 . | int }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- range .v.extraSecretMounts }}
- name: {{ .name }}
  secret:
    secretName: {{ tpl .secretName $.root }}
    defaultMode: {{ dig "defaultMode" 288 . | int }}
    optional: {{ dig "optional" false . }}
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- with .v.extraVolumes }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- end -}}
