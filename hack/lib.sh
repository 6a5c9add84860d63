# Shared by the scripts of this folder: packages, the Rust toolchain, messages. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The oldest Rust that builds rrun, as Cargo.toml says.
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
# su(1) without "-" leaves out where ip and nft are.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
build_packages=(ca-certificates gcc libc6-dev libseccomp-dev pkg-config)

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "needs root"; }

# need PACKAGE...: installs those that are missing, and nothing when none is.
need() {
	local missing=() package
	for package; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	[ "$(id -u)" = 0 ] || die "missing packages, install them as root: ${missing[*]}"
	[ -n "${apt_updated:-}" ] || apt-get update -qq >&2
	apt_updated=1
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# at_least VERSION FLOOR
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# need_rust [clippy|rustfmt...]: a toolchain of at least the MSRV on PATH, with these components.
need_rust() {
	local have component
	[ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
	have=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
	if [ -z "$have" ] || ! at_least "$have" "$msrv" || ! command -v cargo >/dev/null; then
		# Debian 12's own "rustc" is too old; the one it keeps for its browser is not.
		need rustc-web cargo-web
		hash -r
	fi
	for component; do
		cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
		case $component in
		clippy) need rust-web-clippy ;;
		rustfmt) need rustfmt-web ;;
		esac
	done
	have=$(rustc --version | cut -d ' ' -f 2)
	at_least "$have" "$msrv" || die "rustc $have is older than $msrv"
}

# Where cargo puts what it builds in PROFILE ("debug", "release").
target_folder() { printf '%s/x86_64-unknown-linux-gnu/%s\n' "${CARGO_TARGET_DIR:-$root/target}" "$1"; }
