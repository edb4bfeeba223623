//! No template makes more than its fuel pays for.

use std::fs;

use minijinja::ErrorKind;

use super::common::Case;

#[test]
fn no_width_escapes_the_bounds() {
    let large = 1_000_000_000;
    let templates = [
        format!("{{{{ 'x'.ljust({large}) }}}}"),
        format!("{{{{ 'x'.rjust({large}, 'ü') }}}}"),
        format!("{{{{ 'x'.center({large}) }}}}"),
        format!("{{{{ 'x' | center({large}) }}}}"),
        format!("{{{{ 'x'.zfill({large}) }}}}"),
        format!("{{{{ '\\t'.expandtabs({large}) }}}}"),
        format!("{{{{ '%{large}d' | format(1) }}}}"),
        format!("{{{{ '%{large}s' | format(1) }}}}"),
        format!("{{{{ '%*d' | format({large}, 1) }}}}"),
        format!("{{{{ '%.*f' | format({large}, 1.5) }}}}"),
        format!("{{{{ '%.{large}f' | format(1.5) }}}}"),
        format!("{{{{ '{{:{large}}}'.format(1) }}}}"),
        format!("{{{{ '{{:>{large}}}'.format('ü') }}}}"),
        format!("{{{{ '{{:.{large}f}}'.format(1.5) }}}}"),
        format!("{{{{ 'a\\nb' | indent({large}) }}}}"),
        format!("{{{{ [1] | tojson(indent={large}) }}}}"),
        format!("{{{{ [1] | batch({large}, 'x') | list }}}}"),
        format!("{{{{ 'x' * {large} }}}}"),
    ];
    all_do_too_much(&templates);
}

#[test]
fn no_filter_or_method_escapes_the_bounds() {
    let templates = [
        "{{ ('x' * 1000000).join(range(100000)) }}",
        "{{ range(100000) | join('x' * 1000000) }}",
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
        "{{ ('x' * 1000000) | replace('x', 'y' * 1000000) }}",
        "{{ ('\\n' * 1000000) | indent('y' * 1000000, true, true) }}",
        "{{ ('x ' * 1000000) | wordwrap(1, wrapstring='y' * 1000000) }}",
        "{{ ([1] * 100000000) | join }}",
        "{{ [1] * 100000000 }}",
        "{{ ([1] * 100000000) | tojson }}",
        "{{ ([1] * 100000000).index(2) }}",
        "{{ dict([[1, 2]] * 100000000) }}",
        "{{ ([1] * 100000000) | sort }}",
        "{{ ([[1, 2]] * 100000000) | urlencode }}",
        "{{ ([{'a': 1}] * 100000000) | groupby('a') }}",
        "{{ ('x,' * 50000000).split(',') }}",
        "{{ ('x,' * 50000000) | split(',') }}",
        "{{ ('x ' * 50000000).split() }}",
        "{{ ('\n' * 50000000).splitlines() }}",
        "{{ ('\n' * 50000000) | lines }}",
        "{{ ('\n' * 50000000) | indent }}",
        "{{ ('- ' * 50000000) | wordwrap }}",
        "{{ '%s' | format('x' * 100000000) ~ 'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000 }}",
    ];
    all_do_too_much(&templates);
}

fn all_do_too_much(templates: &[impl AsRef<str>]) {
    for template in templates.iter().map(AsRef::as_ref) {
        let error = Case::new(template).render().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfFuel, "{template}: {error}");
        let peak = peak_memory();
        assert!(peak < 1024, "{template}: {peak} MiB");
    }
}

/// The most memory that this process has had, in MiB.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn a_range_is_bounded() {
    let error = Case::new("{{ range(10 ** 9) | length }}").render().unwrap_err().to_string();
    assert!(error.contains("range has too many elements"), "{error}");
}
