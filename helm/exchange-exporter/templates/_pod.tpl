{{/* The parts of a pod that the exporter and the relay have in common. dict root, v (the part's
values), part ("" or "relay"). */}}
{{- define "exchange-exporter.podMetadata" -}}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" (.part | default "exporter") -}}
{{- if and (include "exchange-exporter.ownConfig" .v) (not .v.configReloader.enabled) -}}
{{- $config := ternary "exchange-exporter.relayConfig" "exchange-exporter.config" (eq .part "relay") -}}
{{- $_ := set $annotations "checksum/config" (include $config .root | sha256sum) -}}
{{- end -}}
{{- with .v.venues -}}
{{- $_ := set $annotations "checksum/venues" (toYaml . | sha256sum) -}}
{{- end -}}
annotations:
  {{- mergeOverwrite $annotations (deepCopy (default dict .v.podAnnotations)) | toYaml | nindent 2 }}
labels:
  {{- include "exchange-exporter.labels" (dict "root" .root "part" .part "extra" (list .v.podLabels)) | nindent 2 }}
{{- end -}}

{{- define "exchange-exporter.podSpec" -}}
serviceAccountName: {{ include "exchange-exporter.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- if include "exchange-exporter.signalled" . }}
# So that the reloader can send SIGHUP: nothing need be opened over HTTP.
shareProcessNamespace: true
{{- end }}
{{- include "exchange-exporter.pullSecrets" .root }}
{{- with include "exchange-exporter.securityContext" (dict "root" .root "context" .v.podSecurityContext) }}
{{ . }}
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

{{/* Flags that both have: dict root, v, part, port (number). */}}
{{- define "exchange-exporter.flags" -}}
- --config.file=/etc/exchange-exporter/config/config.yml
- --web.listen-address=:{{ .port }}
{{- if .v.venues }}
- --venues.dir=/etc/exchange-exporter/venues
{{- end }}
{{- if include "exchange-exporter.webSecret" . }}
- --web.config.file=/etc/exchange-exporter/web/{{ .v.webConfig.key }}
{{- end }}
{{- end -}}

{{/* What stands in the main container after its command: dict root, v, part, port (number). */}}
{{- define "exchange-exporter.container" -}}
image: {{ include "exchange-exporter.ownImage" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with include "exchange-exporter.securityContext" (dict "root" .root "context" .v.securityContext) }}
{{ . }}
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
{{- with include "exchange-exporter.probe" (get $.v $key) | fromYaml }}
{{- $probe := . }}
{{- if and $probe.httpGet (include "exchange-exporter.webSecret" $) }}
{{- $_ := set $probe "httpGet" (set $probe.httpGet "scheme" (include "exchange-exporter.scheme" $ | upper)) }}
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

{{/* A probe, or nothing where it is switched off. A handler that is given takes the place of the
default's httpGet: a parent chart's `httpGet: null` does not arrive here. */}}
{{- define "exchange-exporter.probe" -}}
{{- with . -}}
{{- $probe := omit (deepCopy .) "enabled" -}}
{{- if or $probe.tcpSocket $probe.exec $probe.grpc -}}
{{- $probe = omit $probe "httpGet" -}}
{{- end -}}
{{- if dig "enabled" true . -}}
{{- toYaml $probe -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Mounts that both have, with what users add: dict root, v, part. */}}
{{- define "exchange-exporter.mounts" -}}
# A folder and no subPath: a subPath never sees a new config.
- name: config
  mountPath: /etc/exchange-exporter/config
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .v.venues }}
- name: venues
  mountPath: /etc/exchange-exporter/venues
  readOnly: true
{{- end }}
{{- if include "exchange-exporter.webSecret" . }}
- name: web-config
  mountPath: /etc/exchange-exporter/web
  readOnly: true
{{- end }}
{{- range concat (default list .v.extraConfigmapMounts) (default list .v.extraSecretMounts) }}
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

{{/* Volumes that both have, with what users add: dict root, v, part, name (of the config that the chart makes). */}}
{{- define "exchange-exporter.volumes" -}}
- name: config
  {{- include "exchange-exporter.configVolume" . | trim | nindent 2 }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- if .v.venues }}
- name: venues
  configMap:
    name: {{ include "exchange-exporter.fullname" .root }}-venues
    defaultMode: 288
{{- end }}
{{- with include "exchange-exporter.webSecret" . }}
- name: web-config
  secret:
    secretName: {{ . }}
    defaultMode: 288
{{- end }}
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
