{{/* A label's value: at most 63 characters, of which the first and the last are letters or digits. */}}
{{- define "exchange-exporter.label" -}}
{{- regexReplaceAll "[^A-Za-z0-9_.-]" (toString .) "_" | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{/* A name that every kind takes (RFC 1035): dict name, max. What had to be changed or cut gets a
hash, so that two of them stay apart; so does what YAML takes for a truth value. */}}
{{- define "exchange-exporter.dns" -}}
{{- $name := regexReplaceAll "[^a-z0-9]+" (lower .name) "-" | trimAll "-" -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- $name = printf "x-%s" $name | trimSuffix "-" -}}
{{- end -}}
{{- $words := list "true" "false" "null" "yes" "no" "on" "off" "y" "n" -}}
{{- if or (ne $name .name) (gt (len $name) (int .max)) (has $name $words) -}}
{{- $name = printf "%s-%s" ($name | trunc (sub .max 9 | int) | trimSuffix "-") (sha256sum .name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "exchange-exporter.name" -}}
{{- include "exchange-exporter.label" (default .Chart.Name .Values.nameOverride) | default .Chart.Name -}}
{{- end -}}

{{/* The name before it is cut to what a kind allows: dict root, suffix. */}}
{{- define "exchange-exporter.wholeName" -}}
{{- $name := .root.Values.fullnameOverride -}}
{{- if not $name -}}
{{- $chart := default .root.Chart.Name .root.Values.nameOverride -}}
{{- $name = ternary .root.Release.Name (printf "%s-%s" .root.Release.Name $chart) (contains $chart .root.Release.Name) -}}
{{- end -}}
{{- list $name .suffix | compact | join "-" -}}
{{- end -}}

{{- define "exchange-exporter.fullname" -}}
{{- include "exchange-exporter.dns" (dict "name" (include "exchange-exporter.wholeName" (dict "root" . "suffix" "")) "max" 63) -}}
{{- end -}}

{{/* A further name beside the full one: dict root, suffix. A StatefulSet's name gets a pod ordinal and
a hash of 11 characters, hence 52 and not 63. */}}
{{- define "exchange-exporter.suffixed" -}}
{{- include "exchange-exporter.dns" (dict "name" (include "exchange-exporter.wholeName" .) "max" 52) -}}
{{- end -}}

{{- define "exchange-exporter.workload" -}}
{{- include "exchange-exporter.suffixed" (dict "root" . "suffix" "") -}}
{{- end -}}

{{- define "exchange-exporter.relay" -}}
{{- include "exchange-exporter.suffixed" (dict "root" . "suffix" "relay") -}}
{{- end -}}

{{/* The name of an object that may lie in a namespace which several releases share: dict root, name,
namespace (where it lies; empty: with the release). */}}
{{- define "exchange-exporter.sharedName" -}}
{{- $home := include "exchange-exporter.namespace" .root -}}
{{- ternary .name (list $home .name | compact | join "-") (has .namespace (list "" $home)) -}}
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
{{- $name = printf "%s-%s" ($name | trunc (sub 62 (len .part) | int) | trimAll "-_.") .part -}}
{{- end -}}
app.kubernetes.io/name: {{ $name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end -}}

{{/* Labels of an object: dict root, part, extra (a list of users' labels; the chart's own win). */}}
{{- define "exchange-exporter.labels" -}}
{{- $labels := deepCopy (default dict .root.Values.commonLabels) -}}
{{- if .root.Values.releaseLabel -}}
{{- $_ := set $labels "release" .root.Release.Name -}}
{{- end -}}
{{- range .extra -}}
{{- $labels = mergeOverwrite $labels (deepCopy (default dict .)) -}}
{{- end -}}
{{- $own := dict
  "helm.sh/chart" (include "exchange-exporter.label" (printf "%s-%s" .root.Chart.Name .root.Chart.Version))
  "app.kubernetes.io/component" (.part | default "exporter")
  "app.kubernetes.io/part-of" (include "exchange-exporter.name" .root)
  "app.kubernetes.io/version" (include "exchange-exporter.label" (splitList "@" .root.Values.image.tag | first) | default .root.Chart.AppVersion)
  "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- mergeOverwrite $labels $own (include "exchange-exporter.selectorLabels" . | fromYaml) | toYaml -}}
{{- end -}}

{{/* registry/repository:tag, or @digest. dict root, image, tag (taken where the image has none). */}}
{{- define "exchange-exporter.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry | trimSuffix "/" -}}
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
{{- with concat (default list .Values.global.imagePullSecrets) (default list .Values.imagePullSecrets) | uniq }}
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
{{- if $config.alertmanagers -}}
{{- $target := include "exchange-exporter.targetLabels" . | fromYaml -}}
{{- $usual := eq (default "" $target.job) "exchange-exporter" -}}
{{- with ternary (omit $target "job") $target $usual -}}
{{- $_ := set $config "alerting" (merge (default dict $config.alerting) .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Labels of the exporter's target, as the monitors set them, that what it pushes must have, too. */}}
{{- define "exchange-exporter.targetLabels" -}}
{{- $m := .Values.serviceMonitor -}}
{{- with .Values.site }}
site: {{ toJson . }}
{{- end }}
{{- if and (or $m.enabled .Values.podMonitor.enabled) (not $m.jobLabel) }}
job: {{ toJson $m.job }}
{{- end }}
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

{{/* A duration such as 1h30m, in milliseconds. */}}
{{- define "exchange-exporter.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" .) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* A security context. With runAsAnyUser the cluster says which user, group and fsGroup: dict root, context. */}}
{{- define "exchange-exporter.securityContext" -}}
{{- with .context }}
{{- $context := . -}}
{{- if $.root.Values.runAsAnyUser -}}
{{- $context = omit . "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
securityContext:
  {{- toYaml $context | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Ports of the addresses that a text (a config as YAML) names, as a JSON list; 443 and 80 where they name none. */}}
{{- define "exchange-exporter.portsOf" -}}
{{- $ports := list -}}
{{- range regexFindAll "(https?|wss?)://[^\\s\"'/?#,]+" . -1 -}}
{{- $port := regexFind ":[0-9]+[\\]}]*$" . | regexFind "[0-9]+" -}}
{{- $ports = append $ports (default (ternary "443" "80" (regexMatch "^(https|wss)" .)) $port | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
