#!/usr/bin/env bats
# What runc's own tests leave out: that processes are confined by the profile they ask for. Runs beside
# them, against runc as well.

load helpers

function setup() {
	requires root
	[ -d /sys/kernel/security/apparmor ] || skip "requires AppArmor"
	setup_busybox
	echo secret > rootfs/etc/secret
	apparmor_parser --replace --skip-cache <<-'PROFILES'
		abi <abi/4.0>,
		profile rrun-test flags=(attach_disconnected,mediate_deleted) {
			file,
			capability,
			signal,
			unix,
			mount,
			deny /etc/secret r,
		}
		profile rrun-other flags=(attach_disconnected,mediate_deleted) {
			file,
			capability,
			signal,
			unix,
		}
	PROFILES
	update_config '.process.apparmorProfile = "rrun-test"'
}

function teardown() {
	teardown_bundle
}

@test "apparmor: run is confined" {
	update_config '.process.args = ["sh", "-c", "cat /proc/self/attr/current; ! cat /etc/secret"]'
	runc run tst
	[ "$status" -eq 0 ]
	[[ "$output" == "rrun-test (enforce)"* ]]
	[[ "$output" == *"Permission denied"* ]]
	[[ "$output" != *secret$'\n'* ]]
}

@test "apparmor: exec is confined as the container, or as asked" {
	runc run -d --console-socket "$CONSOLE_SOCKET" tst
	[ "$status" -eq 0 ]
	runc exec tst cat /proc/self/attr/current
	[ "$status" -eq 0 ]
	[ "$output" = "rrun-test (enforce)" ]
	runc exec --apparmor rrun-other tst sh -c 'cat /proc/self/attr/current /etc/secret'
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = "rrun-other (enforce)" ]
	[ "${lines[1]}" = secret ]
}

@test "apparmor: without new privileges, too" {
	update_config '.process.noNewPrivileges = true | .process.args = ["cat", "/proc/self/attr/current"]'
	runc run tst
	[ "$status" -eq 0 ]
	[ "$output" = "rrun-test (enforce)" ]
}

@test "apparmor: no profile, no confinement" {
	update_config 'del(.process.apparmorProfile) | .process.args = ["cat", "/proc/self/attr/current"]'
	runc run tst
	[ "$status" -eq 0 ]
	[ "$output" = unconfined ]
}

@test "apparmor: an unknown profile is refused by name" {
	update_config '.process.apparmorProfile = "rrun-missing"'
	runc run tst
	[ "$status" -ne 0 ]
	[[ "$output" == *apparmor* ]]
	runc state tst
	[ "$status" -ne 0 ]
}
