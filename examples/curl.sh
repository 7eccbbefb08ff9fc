#!/bin/sh
# Embed one image and one text with curl, by the service or by the emulator:
#
#     sh examples/curl.sh ENDPOINT KEY IMAGE
set -eu
query='api-version=2024-02-01&model-version=2023-04-15'

curl --silent --show-error --fail-with-body "$1/computervision/retrieval:vectorizeImage?$query" \
    --header "Ocp-Apim-Subscription-Key: $2" \
    --header 'Content-Type: application/octet-stream' --data-binary "@$3"
echo
curl --silent --show-error --fail-with-body "$1/computervision/retrieval:vectorizeText?$query" \
    --header "Ocp-Apim-Subscription-Key: $2" \
    --header 'Content-Type: application/json' --data '{"text": "a ship in a storm"}'
echo
