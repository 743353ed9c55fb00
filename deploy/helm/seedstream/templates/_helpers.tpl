{{/*
Every object is a manifest of deploy/k8s, to the letter in files/, changed by the values.

seedstream.object (list ROOT PATH): one of them.
*/}}
{{- define "seedstream.object" -}}
{{- $root := index . 0 -}}
{{- $object := fromYaml (include "seedstream.text" .) -}}
{{- include "seedstream.finished" (list $root $object (index . 1)) -}}
{{- end -}}

{{/* The text of a file; names of other namespaces' clients lead to ours. */}}
{{- define "seedstream.text" -}}
{{- $root := index . 0 -}}
{{- $namespace := $root.Release.Namespace -}}
{{- $root.Files.Get (index . 1) | replace ".seedstream.svc" (printf ".%s.svc" $namespace) | replace "namespace=\"seedstream\"" (printf "namespace=%q" $namespace) -}}
{{- end -}}

{{/* seedstream.finished (list ROOT OBJECT PATH): an object with labels, namespace, what the values say of a workload, and patches. */}}
{{- define "seedstream.finished" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" (index . 2) $object.Error) }}{{ end -}}
{{- $_ := set $object.metadata "namespace" $root.Release.Namespace -}}
{{- $_ := set $object.metadata "labels" (merge (dict "app.kubernetes.io/part-of" "seedstream") (default dict $object.metadata.labels)) -}}
{{- if has $object.kind (list "Deployment" "StatefulSet" "Job") -}}
{{- include "seedstream.workload" (list $root $object (hasPrefix "files/base/" (index . 2))) -}}
{{- end -}}
{{- $patch := get $root.Values.patches (printf "%s/%s" $object.kind $object.metadata.name) | default dict -}}
{{- toYaml (mergeOverwrite $object (deepCopy $patch)) -}}
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

{{/* seedstream.settings (list ROOT PROCESS): the settings of a process; each line wins over those above. */}}
{{- define "seedstream.settings" -}}
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
