# Shared by the scripts of this folder: packages, the Rust toolchain, messages. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The oldest Rust that builds rrun, as Cargo.toml says.
msrv=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
# su(1) without "-" leaves out where ip and nft are.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# shellcheck disable=SC2034 # for who sources this
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

# Where this machine's own Debian packages come from.
mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1
}

# unpack_debian VARIANT SUITE TARGET PACKAGE...: a folder or tar file with packages of another Debian
# suite, by mmdebstrap(1). The machine's own packages stay as they are.
unpack_debian() {
	local variant=$1 suite=$2 target=$3
	shift 3
	local packages=$*
	TMPDIR=$(dirname "$target") mmdebstrap --mode=root --variant="$variant" --quiet \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
		--aptopt='APT::Sandbox::User "root"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		${packages:+--include="${packages// /,}"} "$suite" "$target" "deb $(mirror) $suite main" >&2
}

# newest PACKAGE: makes the program of this name of Debian's newest suite run here, with the libraries
# that it was made for, and prints its path. For references that Debian 12 has too old.
newest() {
	local all=${CARGO_TARGET_DIR:-$root/target}/newest program
	all=$(realpath -m "$all")
	program=$all/$1/$1
	if [ ! -x "$program" ]; then
		need mmdebstrap patchelf >&2 || return 1
		rm -rf "${all:?}/$1"
		mkdir -p "$all/$1"
		say "unpacking $1 of Debian's newest suite"
		unpack_debian extract sid "$all/$1/root" "$1" || return 1
		cp "$all/$1/root/usr/sbin/$1" "$program.new" || return 1
		patchelf --force-rpath --set-rpath "$all/$1/root/usr/lib/x86_64-linux-gnu" \
			--set-interpreter "$all/$1/root/usr/lib64/ld-linux-x86-64.so.2" "$program.new" || return 1
		mv "$program.new" "$program"
	fi
	echo "$program"
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
