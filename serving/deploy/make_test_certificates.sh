#!/usr/bin/env bash
# Makes certificates for TESTS: bash make_test_certificates.sh FOLDER [HOST_OR_IP...]
#
#   ca.crt, ca.key            an authority of your own
#   server.crt, server.key    for localhost, 127.0.0.1, the Kubernetes services, and each argument
#   client.crt, client.key    what clients show
#   ssl.config                SSLConfig text proto for --ssl_config_file, key and certificates inline
#
# FOLDER must not exist; it appears when everything in it is there. Valid for DAYS (30). In
# production take certificates of your own authority (cert-manager, Vault) and write ssl.config alike.
set -euo pipefail

if [ $# -lt 1 ]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
folder=${1%/}
shift
days=${DAYS:-30}
if ! [[ $days =~ ^[1-9][0-9]*$ ]]; then
  echo "DAYS: got '$days', expected a number of days" >&2
  exit 2
fi
if [ -e "$folder" ]; then
  echo "$folder exists: nothing is overwritten, name a new folder or remove it" >&2
  exit 1
fi

names="DNS:localhost,IP:127.0.0.1,IP:::1"
for service in tf-serving tf-serving-headless; do
  names+=",DNS:$service,DNS:$service.default,DNS:$service.default.svc.cluster.local"
done
for host in "$@"; do
  if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then
    names+=",IP:$host"
  elif [[ $host =~ ^[A-Za-z0-9*][A-Za-z0-9.-]*$ ]]; then
    names+=",DNS:$host"
  else
    echo "'$host' is no host name and no IP address" >&2
    exit 2
  fi
done

umask 077  # keys are for their owner
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT

certificate() { # name, its extensions (a line each), how it is signed
  local name=$1 extensions=$2
  shift 2
  openssl ecparam -name prime256v1 -genkey -noout -out "$work/$name.key"
  echo "$extensions" >"$work/extensions"
  openssl req -new -key "$work/$name.key" -subj "/CN=tf_talking test $name" |
    openssl x509 -req -sha256 -days "$days" -set_serial "0x$(openssl rand -hex 8)" \
      -extfile "$work/extensions" "$@" -out "$work/$name.crt" 2>"$work/log" ||
    { cat "$work/log" >&2; exit 1; }
}

leaf=$'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
by_ca=(-CA "$work/ca.crt" -CAkey "$work/ca.key")
certificate ca $'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign' \
  -signkey "$work/ca.key"
certificate server "${leaf}extendedKeyUsage=serverAuth"$'\n'"subjectAltName=$names" "${by_ca[@]}"
certificate client "${leaf}extendedKeyUsage=clientAuth" "${by_ca[@]}"

inline() { # field, file: a text proto string, one line of the file in each piece
  echo "$1:"
  sed 's/.*/  "&\\n"/' "$2"
}

{
  echo "# SSLConfig for --ssl_config_file. The server's private key is in here: keep it secret."
  inline server_key "$work/server.key"
  inline server_cert "$work/server.crt"
  echo "# Whose clients are let in; without client_verify anybody is."
  inline custom_ca "$work/ca.crt"
  echo "client_verify: true"
} >"$work/ssl.config"

rm -f "$work/extensions" "$work/log"
mv "$work" "$folder"
trap - EXIT
echo "$folder: for $names, $days days"
