{{/* Whether a part is told of a new config by SIGHUP; the relay, which asks for a login, knows no other way. dict v. */}}
{{- define "exchange-exporter.signalled" -}}
{{- if and .v.configReloader.enabled (ne (get .v.configReloader "method") "http") }}true{{ end -}}
{{- end -}}

{{/* The container that tells a part of a new config: dict root, v, part, port. */}}
{{- define "exchange-exporter.reloader" -}}
{{- $v := .v.configReloader -}}
{{- $file := "/etc/exchange-exporter/config/config.yml" -}}
- name: config-reloader
  {{- if include "exchange-exporter.signalled" . }}
  image: {{ include "exchange-exporter.ownImage" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: [python, -c]
  args:
    - |
      {{- .root.Files.Get "files/reloader.py" | nindent 6 }}
    - {{ $file }}
    - {{ divf (include "exchange-exporter.milliseconds" $v.watchInterval) 1000 | quote }}
  {{- else }}
  image: {{ include "exchange-exporter.image" (dict "root" .root "image" $v.image "tag" $v.image.tag) }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args:
    - --config-file={{ $file }}
    - --reload-url={{ include "exchange-exporter.scheme" . }}://127.0.0.1:{{ .port }}/-/reload
    - --watch-interval={{ include "exchange-exporter.milliseconds" $v.watchInterval }}ms
    - --listen-address=:{{ $v.containerPort }}
  ports:
    - name: reloader
      containerPort: {{ $v.containerPort }}
      protocol: TCP
  livenessProbe:
    httpGet: {path: /healthz, port: reloader}
  readinessProbe:
    httpGet: {path: /healthz, port: reloader}
  {{- end }}
  {{- with include "exchange-exporter.securityContext" (dict "root" .root "context" $v.securityContext) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $v.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: config
      mountPath: /etc/exchange-exporter/config
      readOnly: true
{{- end -}}

{{/* A StatefulSet's volume: dict root, v, name, part. */}}
{{- define "exchange-exporter.claim" -}}
volumeClaimTemplates:
  - metadata:
      name: {{ .name }}
      labels:
        {{- include "exchange-exporter.selectorLabels" . | nindent 8 }}
      {{- with .v.persistence.annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      accessModes:
        {{- default (list "ReadWriteOnce") .v.persistence.accessModes | toYaml | nindent 8 }}
      {{- with .v.persistence.storageClassName }}
      {{- /* "-" is no class at all: claims wait for a volume that someone made for them. */}}
      storageClassName: {{ ternary "" . (eq . "-") | quote }}
      {{- end }}
      resources:
        requests:
          storage: {{ .v.persistence.size }}
{{- end -}}
