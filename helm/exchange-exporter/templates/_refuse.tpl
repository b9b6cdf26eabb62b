{{/* What cannot be said in the JSON Schema: combinations that would deploy and not work, each with what
mends it. */}}
{{- define "exchange-exporter.refuse" -}}
{{- include "exchange-exporter.refusePods" . -}}
{{- include "exchange-exporter.refuseMonitors" . -}}
{{- include "exchange-exporter.refuseNetwork" . -}}
{{- include "exchange-exporter.refuseWeb" (dict "root" . "v" .Values "path" "") -}}
{{- if .Values.relay.enabled -}}
{{- include "exchange-exporter.refuseRelay" . -}}
{{- include "exchange-exporter.refuseWeb" (dict "root" . "v" .Values.relay "path" "relay.") -}}
{{- end -}}
{{- include "exchange-exporter.refuseAlertmanager" . -}}
{{- $name := include "exchange-exporter.workload" . -}}
{{- $kind := ternary "StatefulSet" "Deployment" (eq (include "exchange-exporter.stateful" .) "true") -}}
{{- include "exchange-exporter.refuseChange" (dict "root" . "v" .Values "part" "" "path" "persistence" "kind" $kind "name" $name "claim" (ternary "storage" "" .Values.persistence.enabled)) -}}
{{- if .Values.relay.enabled -}}
{{- include "exchange-exporter.refuseChange" (dict "root" . "v" .Values.relay "part" "relay" "path" "relay.persistence" "kind" "StatefulSet" "name" (include "exchange-exporter.relay" .) "claim" (ternary "spool" "" .Values.relay.persistence.enabled)) -}}
{{- end -}}
{{- end -}}

{{/* A quantity such as 1Gi or 1024Mi, in bytes: the cluster writes one for the other. */}}
{{- define "exchange-exporter.bytes" -}}
{{- $powers := dict "" 0 "k" 1 "M" 2 "G" 3 "T" 4 "P" 5 "E" 6 -}}
{{- $unit := regexFind "[kKMGTPE]?i?$" (toString .) -}}
{{- $bytes := trimSuffix $unit (toString .) | float64 -}}
{{- range until (get $powers (trimSuffix "i" $unit | replace "K" "k") | int) -}}
{{- $bytes = mulf $bytes (ternary 1024 1000 (hasSuffix "i" $unit)) -}}
{{- end -}}
{{- printf "%.0f" $bytes -}}
{{- end -}}

{{/* What of a workload the cluster cannot change, compared with the one that is there. Without a cluster
(helm template, Argo CD) nothing is found. dict root, v, part, path, kind, name, claim (its name, or empty). */}}
{{- define "exchange-exporter.refuseChange" -}}
{{- $ns := include "exchange-exporter.namespace" .root -}}
{{- $there := lookup "apps/v1" .kind $ns .name -}}
{{- if $there -}}
{{- $way := printf "To keep pods and volumes meanwhile: kubectl --namespace %s delete %s %s --cascade=orphan, then upgrade again" $ns (lower .kind) .name -}}
{{- $selector := include "exchange-exporter.selectorLabels" . | fromYaml -}}
{{- if ne (toJson $there.spec.selector.matchLabels) (toJson $selector) -}}
{{- fail (printf "nameOverride: found other selector labels in %s %s/%s, expected the same: the cluster cannot change them. %s" .kind $ns .name $way) -}}
{{- end -}}
{{- if eq .kind "StatefulSet" -}}
{{- $old := dict -}}
{{- range default list $there.spec.volumeClaimTemplates -}}
{{- $_ := set $old .metadata.name (include "exchange-exporter.claimIdentity" .) -}}
{{- end -}}
{{- $new := dict -}}
{{- if .claim -}}
{{- $own := include "exchange-exporter.claim" (dict "root" .root "v" .v "part" .part "name" .claim) | fromYaml -}}
{{- $_ := set $new .claim (include "exchange-exporter.claimIdentity" (first $own.volumeClaimTemplates)) -}}
{{- end -}}
{{- if ne (toJson $old) (toJson $new) -}}
{{- fail (printf "%s: found other volume claims in StatefulSet %s/%s, expected the same: the cluster cannot change them. %s. To enlarge a volume, enlarge its claim first (chart README, Upgrading). There: %s. Here: %s" .path $ns .name $way (toJson $old) (toJson $new)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What counts of a claim's template; the cluster adds to it. */}}
{{- define "exchange-exporter.claimIdentity" -}}
{{- $class := ternary (printf "class %q" (default "" .spec.storageClassName)) "default class" (hasKey .spec "storageClassName") -}}
{{- printf "%s bytes, %s, %s, annotations %s" (include "exchange-exporter.bytes" .spec.resources.requests.storage) $class (join "+" .spec.accessModes) (toJson (default dict .metadata.annotations)) -}}
{{- end -}}

{{- define "exchange-exporter.refusePods" -}}
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
{{- $known := dict "strategy" (list "Recreate" "RollingUpdate") "updateStrategy" (list "OnDelete" "RollingUpdate") -}}
{{- range $key, $types := $known -}}
{{- with get $v $key -}}
{{- if and .type (not (has .type $types)) -}}
{{- fail (printf "%s.type: found %s, expected %s" $key .type (join " or " $types)) -}}
{{- end -}}
{{- if and .rollingUpdate (ne (default "RollingUpdate" .type) "RollingUpdate") -}}
{{- fail (printf "%s.rollingUpdate: found beside type %s, expected none: the cluster refuses the two together" $key .type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $budget := $v.podDisruptionBudget -}}
{{- if and $budget.enabled (has (toString $budget.minAvailable) (list "" "<nil>")) (has (toString $budget.maxUnavailable) (list "" "<nil>")) -}}
{{- fail "podDisruptionBudget.maxUnavailable: found none, expected it or minAvailable" -}}
{{- end -}}
{{- range $path, $part := dict "" $v "relay." (ternary $v.relay dict $v.relay.enabled) -}}
{{- if and (eq (default "" $part.dnsPolicy) "None") (not (dig "nameservers" false (default dict $part.dnsConfig))) -}}
{{- fail (printf "%sdnsConfig.nameservers: found none beside dnsPolicy None, expected one at least" $path) -}}
{{- end -}}
{{- $names := list "config" "tmp" "venues" "web-config" "storage" "spool" "token" -}}
{{- range $key := list "extraConfigmapMounts" "extraSecretMounts" "extraVolumes" -}}
{{- range get $part $key | default list -}}
{{- if has .name $names -}}
{{- fail (printf "%s%s: found a second volume called %s, expected a name of its own: the cluster refuses the pod" $path $key .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
{{- $store := ternary "/var/lib/exchange-exporter" (ternary (default "" $v.persistence.mountPath) "" $v.persistence.enabled) (eq $path "relay.") -}}
{{- $folders := list "/tmp" "/etc/exchange-exporter/config" "/etc/exchange-exporter/venues" "/etc/exchange-exporter/web" "/etc/exchange-exporter/token" -}}
{{- range concat (list (dict "key" "persistence" "mountPath" $store)) (default list $part.extraConfigmapMounts) (default list $part.extraSecretMounts) (default list $part.extraVolumeMounts) -}}
{{- $folder := trimSuffix "/" .mountPath -}}
{{- if has $folder $folders -}}
{{- fail (printf "%s%s.mountPath: found a second mount at %s, expected a path of its own: the cluster refuses the pod" $path (default .name .key) $folder) -}}
{{- end -}}
{{- if $folder -}}
{{- $folders = append $folders $folder -}}
{{- end -}}
{{- end -}}
{{- $reloader := default dict $part.configReloader -}}
{{- if $reloader.enabled -}}
{{- if lt (include "exchange-exporter.milliseconds" $reloader.watchInterval | int) 100 -}}
{{- fail (printf "%sconfigReloader.watchInterval: found %s, expected 100ms at least" $path $reloader.watchInterval) -}}
{{- end -}}
{{- $pod := dig "runAsUser" "" (default dict $part.podSecurityContext) -}}
{{- $main := dig "runAsUser" $pod (default dict $part.securityContext) | toString -}}
{{- $side := dig "runAsUser" $pod (default dict $reloader.securityContext) | toString -}}
{{- if and (ne (default "" $reloader.method) "http") (not $v.runAsAnyUser) (ne $main $side) -}}
{{- fail (printf "%sconfigReloader.securityContext.runAsUser: found another user than %ssecurityContext.runAsUser, expected the same: SIGHUP does not reach another user's process" $path $path) -}}
{{- end -}}
{{- if and (eq (default "" $reloader.method) "http") (eq (int $reloader.containerPort) (int $part.containerPort)) -}}
{{- fail "configReloader.containerPort: found the exporter's own port, expected another: they share the pod's address" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exchange-exporter.refuseMonitors" -}}
{{- $v := .Values -}}
{{- $m := $v.serviceMonitor -}}
{{- $config := default dict $v.config -}}
{{- if and $config.alertmanagers (include "exchange-exporter.ownConfig" $v) -}}
{{- $alerting := default dict $config.alerting -}}
{{- range $label, $value := include "exchange-exporter.targetLabels" . | fromYaml -}}
{{- $said := get $alerting $label | default $value -}}
{{- if ne $said $value -}}
{{- $path := ternary "site" "serviceMonitor.job" (eq $label "site") -}}
{{- fail (printf "config.alerting.%s: found %s, expected %s as in %s: with other labels what the exporter pushes and what the rules say are two alerts" $label $said $value $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $m.enabled $v.podMonitor.enabled -}}
{{- fail "podMonitor.enabled: found beside serviceMonitor.enabled, expected one of the two: every series would count twice" -}}
{{- end -}}
{{- if or $m.enabled $v.podMonitor.enabled -}}
{{- $interval := include "exchange-exporter.milliseconds" $m.interval | int -}}
{{- if eq $interval 0 -}}
{{- fail (printf "serviceMonitor.interval: found %s, expected more than nothing" $m.interval) -}}
{{- end -}}
{{- if $m.scrapeTimeout -}}
{{- if gt (include "exchange-exporter.milliseconds" $m.scrapeTimeout | int) $interval -}}
{{- fail (printf "serviceMonitor.scrapeTimeout: found %s, expected at most interval (%s): the operator would drop the monitor" $m.scrapeTimeout $m.interval) -}}
{{- end -}}
{{- end -}}
{{- range $path, $part := dict "" $v "relay." (ternary $v.relay dict $v.relay.enabled) -}}
{{- $tls := default dict (default dict $part.serviceMonitor).tlsConfig -}}
{{- $web := default dict $part.webConfig -}}
{{- if and (eq (default "" $web.scheme) "https") (or $web.content $web.existingSecret) (not (or $tls.serverName $tls.insecureSkipVerify)) -}}
{{- fail (printf "%sserviceMonitor.tlsConfig: found no serverName beside %swebConfig.scheme https, expected {ca: ..., serverName: NAME} (or insecureSkipVerify: true): Prometheus asks pods by their address, which no certificate names" $path $path) -}}
{{- end -}}
{{- if $v.podMonitor.enabled -}}
{{- range $key := list "caFile" "certFile" "keyFile" -}}
{{- if hasKey $tls $key -}}
{{- fail (printf "%sserviceMonitor.tlsConfig.%s: found beside podMonitor.enabled, expected ca, cert or keySecret: a PodMonitor takes Secrets and ConfigMaps only" $path $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.prometheusRule.enabled (not $m.jobLabel) -}}
{{- if ne $m.job "exchange-exporter" -}}
{{- fail (printf "serviceMonitor.job: found %s beside prometheusRule.enabled, expected exchange-exporter: alerts know the exporter by it" $m.job) -}}
{{- end -}}
{{- if and $v.relay.enabled (ne $v.relay.job "alert-relay") -}}
{{- fail (printf "relay.job: found %s beside prometheusRule.enabled, expected alert-relay: alerts know the relay by it" $v.relay.job) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exchange-exporter.refuseNetwork" -}}
{{- $v := .Values -}}
{{- $policy := $v.networkPolicy -}}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) -}}
{{- fail "ingress.hosts: found none, expected one at least: {host: NAME}" -}}
{{- end -}}
{{- if $policy.enabled -}}
{{- if and $v.ingress.enabled (not $policy.ingressNamespaceName) (not $policy.extraFrom) -}}
{{- fail "networkPolicy.ingressNamespaceName: found none beside ingress.enabled, expected the namespace of the ingress controller (or networkPolicy.extraFrom): it could not connect" -}}
{{- end -}}
{{- if not $policy.allowMonitoringNamespace -}}
{{- if and (or $v.serviceMonitor.enabled $v.podMonitor.enabled) (not $policy.extraFrom) -}}
{{- fail "networkPolicy.allowMonitoringNamespace: found false beside a monitor, expected true (or networkPolicy.extraFrom): Prometheus could not connect" -}}
{{- end -}}
{{- if and $v.alertmanagerConfig.enabled (not $v.relay.networkPolicy.extraFrom) -}}
{{- fail "networkPolicy.allowMonitoringNamespace: found false beside alertmanagerConfig.enabled, expected true (or relay.networkPolicy.extraFrom): Alertmanager could not connect" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a server that asks for a login, or for a client's certificate, does not go with: dict root, v, path. */}}
{{- define "exchange-exporter.refuseWeb" -}}
{{- $v := .v -}}
{{- $path := .path -}}
{{- $web := ternary dict (default dict $v.webConfig.content) (ne $v.webConfig.existingSecret "") -}}
{{- $tls := default dict $web.tls_server_config -}}
{{- if and $tls (ne $v.webConfig.scheme "https") -}}
{{- fail (printf "%swebConfig.scheme: found http beside content.tls_server_config, expected https" $path) -}}
{{- end -}}
{{- $users := not (empty $web.basic_auth_users) -}}
{{- $certificates := has (default "" $tls.client_auth_type) (list "RequireAnyClientCert" "RequireAndVerifyClientCert") -}}
{{- if or $users $certificates -}}
{{- $what := ternary "basic_auth_users" "tls_server_config.client_auth_type" $users -}}
{{- range $key := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- $probe := include "exchange-exporter.probe" (get $v $key) | fromYaml -}}
{{- with $probe.httpGet -}}
{{- if or $certificates (not (contains "Authorization" (toJson .httpHeaders))) -}}
{{- fail (printf "%s%s.httpGet: found beside %swebConfig.content.%s, expected tcpSocket: {port: http}: the kubelet would be turned away, and restart the pod for ever" $path $key $path $what) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (default dict $v.configReloader).enabled (eq (default "" $v.configReloader.method) "http") -}}
{{- fail (printf "configReloader.method: found http beside webConfig.content.%s, expected signal: the reloader has no login" $what) -}}
{{- end -}}
{{- if or .root.Values.serviceMonitor.enabled .root.Values.podMonitor.enabled -}}
{{- if and $users (not $v.serviceMonitor.basicAuth) -}}
{{- fail (printf "%sserviceMonitor.basicAuth: found none beside %swebConfig.content.basic_auth_users, expected {username: {name, key}, password: {name, key}}: Prometheus would be turned away" $path $path) -}}
{{- end -}}
{{- if and $certificates (not $v.serviceMonitor.tlsConfig.cert) (not $v.serviceMonitor.tlsConfig.certFile) -}}
{{- fail (printf "%sserviceMonitor.tlsConfig.cert: found none beside %swebConfig.content.tls_server_config.client_auth_type, expected Prometheus' certificate" $path $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "exchange-exporter.refuseRelay" -}}
{{- $v := .Values -}}
{{- $intake := default dict (default dict $v.relay.config).intake -}}
{{- $login := or $intake.bearer_token $intake.bearer_token_file $intake.username -}}
{{- $web := ternary dict (default dict $v.relay.webConfig.content) (ne $v.relay.webConfig.existingSecret "") -}}
{{- $asks := or $web.basic_auth_users (eq (dig "tls_server_config" "client_auth_type" "" $web) "RequireAndVerifyClientCert") $v.relay.webConfig.existingSecret -}}
{{- $own := include "exchange-exporter.ownConfig" $v.relay -}}
{{- if and $v.relay.configExistingSecret $v.relay.configExistingConfigMap -}}
{{- fail "relay.configExistingSecret: found beside relay.configExistingConfigMap, expected one of the two" -}}
{{- end -}}
{{- if and $own (not (default dict $v.relay.config).receivers) -}}
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

{{- define "exchange-exporter.refuseAlertmanager" -}}
{{- $v := .Values -}}
{{- $c := $v.alertmanagerConfig -}}
{{- if $c.enabled -}}
{{- $tls := default dict $c.tlsConfig -}}
{{- if not (and $v.relay.enabled (or $v.relay.token.existingSecret $c.basicAuth $tls.cert)) -}}
{{- fail "alertmanagerConfig.enabled: found true without relay.enabled and relay.token.existingSecret (or alertmanagerConfig.basicAuth), expected both" -}}
{{- end -}}
{{- if (default dict $c.route).matchers -}}
{{- fail "alertmanagerConfig.route.matchers: found some, expected none: the first route takes what is of the release's namespace; put matchers on its routes" -}}
{{- end -}}
{{- if and $c.basicAuth $v.relay.token.existingSecret -}}
{{- fail "alertmanagerConfig.basicAuth: found beside relay.token.existingSecret, expected one of the two: a post shows one login" -}}
{{- end -}}
{{- range $key := list "caFile" "certFile" "keyFile" -}}
{{- if hasKey $tls $key -}}
{{- fail (printf "alertmanagerConfig.tlsConfig.%s: found, expected ca, cert or keySecret: an AlertmanagerConfig takes Secrets and ConfigMaps only" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
