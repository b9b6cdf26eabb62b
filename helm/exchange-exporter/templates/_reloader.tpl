{{/* The container that tells the exporter of a new config. */}}
{{- define "exchange-exporter.reloader" -}}
{{- $v := .Values.configReloader -}}
{{- $file := "/etc/exchange-exporter/config/config.yml" -}}
- name: config-reloader
  {{- if eq $v.method "signal" }}
  image: {{ include "exchange-exporter.ownImage" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [python, -c]
  args:
    - |
      {{- .Files.Get "files/reloader.py" | nindent 6 }}
    - {{ $file }}
    - {{ $v.watchInterval | quote }}
  {{- else }}
  image: {{ include "exchange-exporter.image" (dict "root" . "image" $v.image "tag" $v.image.tag) }}
  imagePullPolicy: {{ $v.image.pullPolicy }}
  args:
    - --config-file={{ $file }}
    - --reload-url={{ .Values.webConfig.scheme }}://127.0.0.1:{{ .Values.containerPort }}/-/reload
    - --watch-interval={{ $v.watchInterval }}
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
  {{- with $v.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
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
        {{- toYaml .v.persistence.accessModes | nindent 8 }}
      {{- with .v.persistence.storageClassName }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .v.persistence.size }}
{{- end -}}
