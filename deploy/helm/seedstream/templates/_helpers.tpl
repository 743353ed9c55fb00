{{/*
Every object is a manifest of deploy/k8s, to the letter in files/, changed by the values.

seedstream.object (list ROOT PATH): one of them.
*/}}
{{- define "seedstream.object" -}}
{{- $root := index . 0 -}}
{{- $object := fromYaml (include "seedstream.text" .) -}}
{{- include "seedstream.finished" (list $root $object (index . 1)) -}}
{{- end -}}

{{/* seedstream.lane ROOT: its name, which the workers' settings say, as they say topic and prefix for all. */}}
{{- define "seedstream.lane" -}}
{{- get (fromYaml (include "seedstream.own" (list . "worker"))) "WORKER_LANE" -}}
{{- end -}}

{{/* seedstream.checkLane ROOT: refuses a further lane that would take what another one has. */}}
{{- define "seedstream.checkLane" -}}
{{- $worker := fromYaml (include "seedstream.own" (list . "worker")) -}}
{{- $plain := fromYaml (.Files.Get "files/settings/worker.yaml") -}}
{{- $lane := .Values.lane -}}
{{- if and $lane.sameCameras (not $lane.suffix) }}{{ fail "lane.sameCameras needs lane.suffix: it reads the topic of another release in the namespace" }}{{ end -}}
{{- if $lane.suffix -}}
{{- if or .Values.development.kafka .Values.development.redis }}{{ fail "lane.suffix: the servers of development.kafka and development.redis are the first lane's; name them in kafka.bootstrapServers and redis.url" }}{{ end -}}
{{- $own := list "WORKER_LANE" "WORKER_RESULT_PREFIX" "WORKER_GROUP" -}}
{{- if not $lane.sameCameras }}{{ $own = append $own "WORKER_TOPIC" }}{{ end -}}
{{- range $own -}}
{{- if eq (get $worker .) (get $plain .) }}{{ fail (printf "lane.suffix: a further lane has a %s of its own, and worker.settings leave it at %q, the first lane's" . (get $worker .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* seedstream.leftOut (list ROOT OBJECT): what a further lane does not have. */}}
{{- define "seedstream.leftOut" -}}
{{- $lane := (index . 0).Values.lane -}}
{{- $object := index . 1 -}}
{{- $name := $object.metadata.name -}}
{{- if $lane.suffix -}}
{{- if has $object.kind (list "Namespace" "PodMonitor" "PrometheusRule") }}yes{{ end -}}
{{- if and (eq $object.kind "NetworkPolicy") (has $name (list "default-deny" "dns")) }}yes{{ end -}}
{{- end -}}
{{- if $lane.sameCameras -}}
{{- if has $name (list "producer" "producer-settings" "cameras" "camera-shards") }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{/* seedstream.suffixed (list ROOT OBJECT): gives an object, and the names that it repeats, the lane's suffix. */}}
{{- define "seedstream.suffixed" -}}
{{- $suffix := (index . 0).Values.lane.suffix -}}
{{- $object := index . 1 -}}
{{- $_ := set $object.metadata "name" (printf "%s%s" $object.metadata.name $suffix) -}}
{{- $named := list -}}
{{- if has $object.kind (list "Deployment" "StatefulSet") -}}
{{- $pod := $object.spec.template.spec -}}
{{- $_ := set $pod "serviceAccountName" (printf "%s%s" $pod.serviceAccountName $suffix) -}}
{{- with $object.spec.serviceName }}{{ $_ := set $object.spec "serviceName" (printf "%s%s" . $suffix) }}{{ end -}}
{{- range $pod.containers }}{{ range .envFrom }}{{ with .configMapRef }}{{ $named = append $named . }}{{ end }}{{ end }}{{ end -}}
{{- range $pod.volumes }}{{ with .configMap }}{{ $named = append $named . }}{{ end -}}
{{- with .projected }}{{ range .sources }}{{ with .configMap }}{{ $named = append $named . }}{{ end }}{{ end }}{{ end }}{{ end -}}
{{- end -}}
{{- if eq $object.kind "ScaledObject" -}}
{{- $named = append $named $object.spec.scaleTargetRef -}}
{{- range $object.spec.triggers }}{{ with .authenticationRef }}{{ $named = append $named . }}{{ end }}{{ end -}}
{{- end -}}
{{- if eq $object.kind "TriggerAuthentication" -}}
{{- range $object.spec.configMapTargetRef }}{{ $named = append $named . }}{{ end -}}
{{- end -}}
{{- range $named }}{{ $_ := set . "name" (printf "%s%s" .name $suffix) }}{{ end -}}
{{- end -}}

{{/* The text of a file; names of other namespaces' clients lead to ours. */}}
{{- define "seedstream.text" -}}
{{- $root := index . 0 -}}
{{- $namespace := $root.Release.Namespace -}}
{{- $root.Files.Get (index . 1) | replace ".seedstream.svc" (printf ".%s.svc" $namespace) | replace "namespace=\"seedstream\"" (printf "namespace=%q" $namespace) | replace "app.kubernetes.io/instance: main" (printf "app.kubernetes.io/instance: %q" (include "seedstream.lane" $root)) -}}
{{- end -}}

{{/* seedstream.finished (list ROOT OBJECT PATH): an object with labels, namespace, what the values say of a workload, and patches. */}}
{{- define "seedstream.finished" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- if not (include "seedstream.leftOut" (list $root $object)) -}}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" (index . 2) $object.Error) }}{{ end -}}
{{- $_ := set $object.metadata "namespace" $root.Release.Namespace -}}
{{- $_ := set $object.metadata "labels" (merge (dict "app.kubernetes.io/part-of" "seedstream") (default dict $object.metadata.labels)) -}}
{{- if has $object.kind (list "Deployment" "StatefulSet" "Job") -}}
{{- include "seedstream.workload" (list $root $object (hasPrefix "files/base/" (index . 2))) -}}
{{- end -}}
{{- $patch := get $root.Values.patches (printf "%s/%s" $object.kind $object.metadata.name) | default dict -}}
{{- if $root.Values.lane.suffix }}{{ include "seedstream.suffixed" (list $root $object) }}{{ end -}}
{{- toYaml (mergeOverwrite $object (deepCopy $patch)) -}}
{{- end -}}
{{- end -}}

{{/* seedstream.workload (list ROOT OBJECT OURS): changes a workload in place. */}}
{{- define "seedstream.workload" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $name := $object.metadata.name -}}
{{- $template := $object.spec.template -}}
{{- $pod := $template.spec -}}
{{- $container := first $pod.containers -}}
{{- if index . 2 -}}
{{- $_ := set $template.metadata "labels" (merge (dict "app.kubernetes.io/part-of" "seedstream") $template.metadata.labels) -}}
{{- include "seedstream.process" (list $root $object $name) -}}
{{- end -}}
{{- if not $root.Values.fixedUsers -}}
{{- $_ := set $pod "securityContext" (omit $pod.securityContext "runAsUser" "runAsGroup" "fsGroup" "fsGroupChangePolicy") -}}
{{- end -}}
{{- with $root.Values.images.pullSecrets }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end -}}
{{- $configuration := include "seedstream.configuration" (list $root $name) | trim -}}
{{- if $configuration -}}
{{- $annotations := default dict $template.metadata.annotations -}}
{{- $_ := set $template.metadata "annotations" (set $annotations "checksum/settings" (sha256sum $configuration)) -}}
{{- end -}}
{{- end -}}

{{/* seedstream.process (list ROOT OBJECT NAME): what only our own processes have. */}}
{{- define "seedstream.process" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $name := index . 2 -}}
{{- $own := index $root.Values $name -}}
{{- $pod := $object.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $image := base (first (splitList ":" $container.image)) -}}
{{- if and (eq $name "worker") $root.Values.gpu.enabled -}}
{{- $image = "worker-gpu" -}}
{{- $gpu := fromYaml ($root.Files.Get "files/components/gpu/deployment.yaml") -}}
{{- $_ := mergeOverwrite $container (first $gpu.spec.template.spec.containers) -}}
{{- $_ := mergeOverwrite $pod (omit $gpu.spec.template.spec "containers") -}}
{{- $_ := mergeOverwrite $object.spec (omit $gpu.spec "template") -}}
{{- end -}}
{{- $_ := set $container "image" (include "seedstream.image" (list $root $name $image)) -}}
{{- $_ := set $object.spec "replicas" $own.replicas -}}
{{- if and (eq $name "worker") $root.Values.autoscaling.enabled }}{{ $_ := unset $object.spec "replicas" }}{{ end -}}
{{- range $container.env -}}
{{- if and (eq .name "PRODUCER_SHARD") (hasSuffix "/1" (default "" .value)) -}}
{{- $_ := set . "value" (printf "$(POD_INDEX)/%d" (int $own.replicas)) -}}
{{- end -}}
{{- end -}}
{{- if $root.Values.tls.enabled -}}
{{- $secret := dict "secretName" $root.Values.tls.secretName "optional" true "defaultMode" 288 -}}
{{- $_ := set $pod "volumes" (append $pod.volumes (dict "name" "tls" "secret" $secret)) -}}
{{- $mount := dict "name" "tls" "mountPath" "/etc/seedstream-tls" "readOnly" true -}}
{{- $_ := set $container "volumeMounts" (append $container.volumeMounts $mount) -}}
{{- end -}}
{{- with $own.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- $_ := mergeOverwrite $container (deepCopy $own.container) -}}
{{- $_ := mergeOverwrite $pod (deepCopy $own.pod) -}}
{{- end -}}

{{/* seedstream.image (list ROOT PROCESS NAME) */}}
{{- define "seedstream.image" -}}
{{- $root := index . 0 -}}
{{- $repository := printf "seedstream/%s" (index . 2) -}}
{{- with $root.Values.images.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- $digest := get $root.Values.images.digests (index . 1) -}}
{{- if $digest }}{{ printf "%s@%s" $repository $digest }}{{ else }}{{ printf "%s:%s" $repository (default $root.Chart.AppVersion $root.Values.images.tag) }}{{ end -}}
{{- end -}}

{{/* seedstream.settings (list ROOT PROCESS): the settings of a process. A lane is written down once, in its workers' settings. */}}
{{- define "seedstream.settings" -}}
{{- $name := index . 1 -}}
{{- $settings := fromYaml (include "seedstream.own" .) -}}
{{- if ne $name "worker" -}}
{{- $worker := fromYaml (include "seedstream.own" (list (index . 0) "worker")) -}}
{{- $prefix := get (dict "producer" "PRODUCER" "viewer" "VIEW") $name -}}
{{- $given := (index (index . 0).Values $name).settings -}}
{{- range $part := list "LANE" "TOPIC" "RESULT_PREFIX" -}}
{{- $key := printf "%s_%s" $prefix $part -}}
{{- if and (hasKey $settings $key) (not (hasKey $given $key)) }}{{ $_ := set $settings $key (get $worker (printf "WORKER_%s" $part)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* seedstream.own (list ROOT PROCESS): the same without what the workers' settings say; each line wins over those above. */}}
{{- define "seedstream.own" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $prefix := get (dict "producer" "PRODUCER" "viewer" "VIEW" "worker" "WORKER") $name -}}
{{- $settings := fromYaml ($root.Files.Get (printf "files/settings/%s.yaml" $name)) -}}
{{- if and (eq $name "worker") $root.Values.gpu.enabled -}}
{{- $settings = mergeOverwrite $settings (fromYaml ($root.Files.Get "files/settings/worker-gpu.yaml")) -}}
{{- end -}}
{{- if $root.Values.tls.enabled -}}
{{- $settings = mergeOverwrite $settings (fromYaml ($root.Files.Get (printf "files/settings/%s-tls.yaml" $name))) -}}
{{- end -}}
{{- if $root.Values.kafka.sasl.enabled -}}
{{- if not $root.Values.tls.enabled }}{{ fail "kafka.sasl.enabled needs tls.enabled: passwords go over TLS alone" }}{{ end -}}
{{- $settings = mergeOverwrite $settings (fromYaml ($root.Files.Get (printf "files/settings/%s-sasl.yaml" $name))) -}}
{{- $_ := set $settings (printf "%s_SASL_MECHANISM" $prefix) $root.Values.kafka.sasl.mechanism -}}
{{- end -}}
{{- with $root.Values.kafka.bootstrapServers }}{{ $_ := set $settings (printf "%s_BOOTSTRAP_SERVERS" $prefix) . }}{{ end -}}
{{- if ne $name "producer" -}}
{{- with $root.Values.redis.url }}{{ $_ := set $settings (printf "%s_REDIS_URL" $prefix) . }}{{ end -}}
{{- if $root.Values.redis.cluster }}{{ $_ := set $settings (printf "%s_REDIS_CLUSTER" $prefix) "true" }}{{ end -}}
{{- end -}}
{{- range $key, $value := (index $root.Values $name).settings -}}
{{- $_ := set $settings $key (toString $value) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* seedstream.cameras ROOT: the camera list. */}}
{{- define "seedstream.cameras" -}}
{{- if .Values.producer.cameras }}{{ toYaml .Values.producer.cameras }}{{ else }}{{ .Files.Get "files/cameras.yaml" }}{{ end -}}
{{- end -}}

{{/* seedstream.configuration (list ROOT WORKLOAD): what rolls the pods of a workload when it changes. */}}
{{- define "seedstream.configuration" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if has $name (list "producer" "viewer" "worker") -}}
{{- include "seedstream.settings" . -}}
{{- /* A list with shards beside it is read again by the producers: no pod restarts for it. */ -}}
{{- if and (eq $name "producer") (not ($root.Files.Get "files/shards.yaml")) }}{{ include "seedstream.cameras" $root }}{{ end -}}
{{- else if eq $name "kafka" -}}
{{- include "seedstream.text" (list $root "files/components/kafka-dev/server.properties") -}}
{{- else if eq $name "redis" -}}
{{- $root.Files.Get "files/components/redis-dev/valkey.conf" -}}
{{- end -}}
{{- end -}}

{{/* seedstream.configmap (list ROOT NAME DATA): a ConfigMap. */}}
{{- define "seedstream.configmap" -}}
{{- $root := index . 0 -}}
{{- $object := dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" (index . 1)) "data" (index . 2) -}}
{{- include "seedstream.finished" (list $root $object (index . 1)) -}}
{{- end -}}
