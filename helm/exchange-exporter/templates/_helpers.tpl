{{- define "exchange-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "exchange-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* A further name beside the full one, cut so that the suffix stays: dict root, suffix. A
StatefulSet's name gets a pod ordinal and a hash of 11 characters, hence 52 and not 63. */}}
{{- define "exchange-exporter.suffixed" -}}
{{- $room := sub 52 (len .suffix | add 1) | int -}}
{{- printf "%s-%s" (include "exchange-exporter.fullname" .root | trunc $room | trimSuffix "-") .suffix -}}
{{- end -}}

{{- define "exchange-exporter.workload" -}}
{{- include "exchange-exporter.fullname" . | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "exchange-exporter.relay" -}}
{{- include "exchange-exporter.suffixed" (dict "root" . "suffix" "relay") -}}
{{- end -}}

{{- define "exchange-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "exchange-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "exchange-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Selectors never change between versions: name and instance, nothing else. dict root, part ("" or "relay"). */}}
{{- define "exchange-exporter.selectorLabels" -}}
{{- $name := include "exchange-exporter.name" .root -}}
{{- if .part -}}
{{- $name = printf "%s-%s" ($name | trunc (sub 62 (len .part) | int) | trimSuffix "-") .part -}}
{{- end -}}
app.kubernetes.io/name: {{ $name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Labels of an object: dict root, part, extra (a list of users' labels; the chart's own win). */}}
{{- define "exchange-exporter.labels" -}}
{{- $labels := deepCopy .root.Values.commonLabels -}}
{{- if .root.Values.releaseLabel -}}
{{- $_ := set $labels "release" .root.Release.Name -}}
{{- end -}}
{{- range .extra -}}
{{- $labels = mergeOverwrite $labels (deepCopy .) -}}
{{- end -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/component" (.part | default "exporter")
  "app.kubernetes.io/part-of" (include "exchange-exporter.name" .root)
  "app.kubernetes.io/version" (.root.Values.image.tag | default .root.Chart.AppVersion | trunc 63)
  "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- mergeOverwrite $labels $own (include "exchange-exporter.selectorLabels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* registry/repository:tag, or @digest. dict root, image, tag (taken where the image has none). */}}
{{- define "exchange-exporter.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $path := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne $registry "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $path .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "exchange-exporter.ownImage" -}}
{{- include "exchange-exporter.image" (dict "root" . "image" .Values.image "tag" (printf "v%s" .Chart.AppVersion)) -}}
{{- end -}}

{{- define "exchange-exporter.pullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - {{ kindIs "map" . | ternary . (dict "name" .) | toJson }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* One StatefulSet pod a shard; a volume needs stable names, too. */}}
{{- define "exchange-exporter.stateful" -}}
{{- if or (gt (int .Values.shards) 1) .Values.persistence.enabled }}true{{ end -}}
{{- end -}}

{{/* The exporter's config file as it is mounted. The reloader's HTTP way needs `server.changes`. */}}
{{- define "exchange-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if and .Values.configReloader.enabled (eq .Values.configReloader.method "http") -}}
{{- $_ := set $config "server" (set (deepCopy (default dict $config.server)) "changes" true) -}}
{{- end -}}
{{- if and .Values.alertmanagerConfig.enabled $config.alertmanagers -}}
{{- /* What the exporter pushes by itself must be the alert that Prometheus sends. */ -}}
{{- $alerting := default dict $config.alerting -}}
{{- $labels := merge (default dict $alerting.external_labels) (dict "namespace" (include "exchange-exporter.namespace" .)) -}}
{{- $_ := set $config "alerting" (set $alerting "external_labels" $labels) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The relay's config: its spool on the volume, its login from the token's Secret, unless said otherwise. */}}
{{- define "exchange-exporter.relayConfig" -}}
{{- $config := deepCopy .Values.relay.config -}}
{{- $spool := default dict $config.spool -}}
{{- if not $spool.path -}}
{{- $_ := set $config "spool" (set $spool "path" "/var/lib/exchange-exporter/relay.db") -}}
{{- end -}}
{{- if .Values.relay.token.existingSecret -}}
{{- $intake := default dict $config.intake -}}
{{- $_ := set $config "intake" (set $intake "bearer_token" (dict "file" "/etc/exchange-exporter/token/token")) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Where a config comes from, as a volume source: dict root, v (the part's values), name (of what the chart makes). */}}
{{- define "exchange-exporter.configVolume" -}}
{{- if .v.configExistingSecret }}
secret:
  secretName: {{ tpl .v.configExistingSecret .root }}
  items: [{key: {{ .v.configExistingKey | quote }}, path: config.yml}]
{{- else if .v.configExistingConfigMap }}
configMap:
  name: {{ tpl .v.configExistingConfigMap .root }}
  items: [{key: {{ .v.configExistingKey | quote }}, path: config.yml}]
{{- else if .v.secretConfig }}
secret:
  secretName: {{ .name }}
{{- else }}
configMap:
  name: {{ .name }}
{{- end }}
{{- end -}}

{{/* Whether the chart itself makes the config object of a part's values. */}}
{{- define "exchange-exporter.ownConfig" -}}
{{- if not (or .configExistingSecret .configExistingConfigMap) }}true{{ end -}}
{{- end -}}

{{/* Name of the Secret with a part's web config; empty: it has none. dict root, v, part. */}}
{{- define "exchange-exporter.webSecret" -}}
{{- if .v.webConfig.existingSecret -}}
{{- tpl .v.webConfig.existingSecret .root -}}
{{- else if .v.webConfig.content -}}
{{- include "exchange-exporter.suffixed" (dict "root" .root "suffix" (list .part "web" | compact | join "-")) -}}
{{- end -}}
{{- end -}}

{{/* What a part's web server speaks. dict root, v, part. */}}
{{- define "exchange-exporter.scheme" -}}
{{- ternary .v.webConfig.scheme "http" (ne (include "exchange-exporter.webSecret" .) "") -}}
{{- end -}}

{{/* Where Alertmanager posts to. */}}
{{- define "exchange-exporter.relayUrl" -}}
{{- $scheme := include "exchange-exporter.scheme" (dict "root" . "v" .Values.relay "part" "relay") -}}
{{- printf "%s://%s.%s.svc:%v/api/v1/alertmanager" $scheme (include "exchange-exporter.relay" .) (include "exchange-exporter.namespace" .) .Values.relay.service.port -}}
{{- end -}}

{{/* What cannot be said in the JSON Schema. */}}
{{- define "exchange-exporter.refuse" -}}
{{- $v := .Values -}}
{{- if and (gt (int $v.shards) 1) (gt (int $v.replicaCount) 1) -}}
{{- fail "replicaCount: found more than 1 beside shards, expected one of the two: each shard is one pod" -}}
{{- end -}}
{{- if and $v.persistence.enabled (gt (int $v.replicaCount) 1) -}}
{{- fail "replicaCount: found more than 1 beside persistence.enabled, expected 1: replicas would learn apart" -}}
{{- end -}}
{{- if and $v.configExistingSecret $v.configExistingConfigMap -}}
{{- fail "configExistingSecret: found beside configExistingConfigMap, expected one of the two" -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled -}}
{{- fail "podMonitor.enabled: found beside serviceMonitor.enabled, expected one of the two: every series would count twice" -}}
{{- end -}}
{{- range $path, $web := dict "webConfig" $v.webConfig "relay.webConfig" $v.relay.webConfig -}}
{{- if and $web.content.tls_server_config (not $web.existingSecret) (ne $web.scheme "https") -}}
{{- fail (printf "%s.scheme: found http beside content.tls_server_config, expected https" $path) -}}
{{- end -}}
{{- end -}}
{{- if $v.relay.enabled -}}
{{- $intake := default dict $v.relay.config.intake -}}
{{- $login := or $intake.bearer_token $intake.bearer_token_file $intake.username -}}
{{- $web := ternary dict $v.relay.webConfig.content (ne $v.relay.webConfig.existingSecret "") -}}
{{- $asks := or $web.basic_auth_users (eq (dig "tls_server_config" "client_auth_type" "" $web) "RequireAndVerifyClientCert") $v.relay.webConfig.existingSecret -}}
{{- $own := include "exchange-exporter.ownConfig" $v.relay -}}
{{- if and $own (not $v.relay.config.receivers) -}}
{{- fail "relay.config.receivers: found none, expected who is to be told, or relay.configExistingSecret" -}}
{{- end -}}
{{- if and $own (not (or $login $asks $v.relay.token.existingSecret)) -}}
{{- fail "relay.token.existingSecret: found none, expected the Secret with the token that Alertmanager must show (or relay.config.intake, or a login in relay.webConfig)" -}}
{{- end -}}
{{- if and $web.basic_auth_users (or $v.relay.token.existingSecret $intake.bearer_token $intake.bearer_token_file) -}}
{{- fail "relay.webConfig.content.basic_auth_users: found beside a token, expected one of the two: a post shows one login" -}}
{{- end -}}
{{- if and $login $v.relay.token.existingSecret -}}
{{- fail "relay.token.existingSecret: found beside a login in relay.config.intake, expected one of the two" -}}
{{- end -}}
{{- end -}}
{{- $c := $v.alertmanagerConfig -}}
{{- if and $c.enabled $c.route.matchers -}}
{{- fail "alertmanagerConfig.route.matchers: found some, expected none: the first route takes what is of the release's namespace; put matchers on its routes" -}}
{{- end -}}
{{- if and $c.enabled (not (and $v.relay.enabled (or $v.relay.token.existingSecret $c.basicAuth $c.tlsConfig.cert))) -}}
{{- fail "alertmanagerConfig.enabled: found true without relay.enabled and relay.token.existingSecret (or alertmanagerConfig.basicAuth), expected both" -}}
{{- end -}}
{{- if and $c.enabled $c.basicAuth $v.relay.token.existingSecret -}}
{{- fail "alertmanagerConfig.basicAuth: found beside relay.token.existingSecret, expected one of the two: a post shows one login" -}}
{{- end -}}
{{- end -}}
