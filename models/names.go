package models

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of labels.
const (
	maxLabels     = 4096
	maxLabelBytes = 128
	maxNamesBytes = 1 << 18
)

// checkLabels holds a list of labels to the rules for them.
func checkLabels(labels []string) error {
	if len(labels) == 0 || len(labels) > maxLabels {
		return fmt.Errorf("%d labels: must be 1 to %d", len(labels), maxLabels)
	}
	seen := make(map[string]int, len(labels))
	for i, label := range labels {
		if label == "" || len(label) > maxLabelBytes || !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl) {
			return fmt.Errorf("label %d %.40q: must be 1 to %d bytes of text", i, label, maxLabelBytes)
		}
		if first, twice := seen[label]; twice {
			return fmt.Errorf("label %q stands twice, at %d and %d", label, first, i)
		}
		seen[label] = i
	}
	return nil
}

// parseNames reads labels as YOLO exporters write them: a Python list of strings, or a Python dict from 0, 1, 2… to strings.
func parseNames(text string) ([]string, error) {
	if len(text) > maxNamesBytes {
		return nil, fmt.Errorf("%d bytes of names: must be at most %d", len(text), maxNamesBytes)
	}
	p := namesParser{rest: text}
	labels, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", len(text)-len(p.rest), err)
	}
	return labels, checkLabels(labels)
}

// namesParser reads a Python literal from left to right.
type namesParser struct{ rest string }

func (p *namesParser) parse() ([]string, error) {
	p.space()
	var labels []string
	var err error
	switch {
	case p.take("["):
		labels, err = p.list()
	case p.take("{"):
		labels, err = p.dict()
	default:
		return nil, errors.New("must be a list ['a', 'b'] or a dict {0: 'a', 1: 'b'}")
	}
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, errors.New("something follows the list")
	}
	return labels, nil
}

func (p *namesParser) list() ([]string, error) {
	var labels []string
	err := p.items("]", func() error {
		label, err := p.quoted()
		labels = append(labels, label)
		return err
	})
	return labels, err
}

func (p *namesParser) dict() ([]string, error) {
	byIndex := map[int]string{}
	err := p.items("}", func() error {
		index, err := p.index()
		if err != nil {
			return err
		}
		label, err := p.quoted()
		if _, twice := byIndex[index]; twice {
			return fmt.Errorf("the class %d stands twice", index)
		}
		byIndex[index] = label
		return err
	})
	if err != nil {
		return nil, err
	}
	labels := make([]string, len(byIndex))
	for i := range labels {
		label, ok := byIndex[i]
		if !ok {
			return nil, fmt.Errorf("class %d has no name among %d", i, len(labels))
		}
		labels[i] = label
	}
	return labels, nil
}

// items reads elements between commas up to the closing bracket; a comma may stand before it, as in Python.
func (p *namesParser) items(closing string, element func() error) error {
	for n := 0; ; n++ {
		if p.space(); p.take(closing) {
			return nil
		}
		if n == maxLabels {
			return fmt.Errorf("more than %d names", maxLabels)
		}
		if err := element(); err != nil {
			return err
		}
		if p.space(); p.take(closing) {
			return nil
		}
		if !p.take(",") {
			return fmt.Errorf("expected , or %s", closing)
		}
	}
}

func (p *namesParser) index() (int, error) {
	digits := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
	index, err := strconv.Atoi(p.rest[:min(digits, 6)])
	if err != nil || digits > 6 {
		return 0, errors.New("expected a class number")
	}
	p.rest = p.rest[digits:]
	if p.space(); !p.take(":") {
		return 0, errors.New("expected : after a class number")
	}
	p.space()
	return index, nil
}

// quoted reads a Python string: single or double quotes, with the escapes that repr writes for text.
func (p *namesParser) quoted() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", errors.New("expected a name in quotes")
	}
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest) && b.Len() <= maxLabelBytes; i++ {
		c := p.rest[i]
		if c == quote {
			p.rest = p.rest[i+1:]
			return b.String(), nil
		}
		if c == '\\' {
			if i++; i == len(p.rest) || !strings.ContainsRune(`\'"`, rune(p.rest[i])) {
				return "", errors.New(`expected \\, \' or \" after \`)
			}
			c = p.rest[i]
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("a name without an end, or longer than %d bytes", maxLabelBytes)
}

func (p *namesParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *namesParser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}
