package account

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Thresholds are the percentages of a plan that an account may be told of.
func Thresholds() []int { return []int{50, 90, 100} }

// settingAlerts is where an account's choice is; without it there are all letters.
func settingAlerts(id customer.AccountID) string { return "alerts/" + id.String() }

const noAlerts = "none"

// Alerts returns the percentages of its plan that an account is told of by mail.
func (s *Service) Alerts(ctx context.Context, id customer.AccountID) (percent []int, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		percent, err = alerts(tx, id)
		return err
	})
	return percent, err
}

func alerts(tx Tx, id customer.AccountID) ([]int, error) {
	text, err := tx.Setting(settingAlerts(id))
	if err != nil || text == "" {
		return Thresholds(), err
	}
	chosen := []int{}
	for word := range strings.SplitSeq(text, ",") {
		if n, err := strconv.Atoi(word); err == nil && slices.Contains(Thresholds(), n) {
			chosen = append(chosen, n)
		}
	}
	return chosen, nil
}

// SetAlerts chooses what an account is told of; nothing is no letters.
func (s *Service) SetAlerts(ctx context.Context, actor string, id customer.AccountID, percent []int) error {
	var wrong Invalid
	words := []string{}
	for _, t := range Thresholds() {
		if slices.Contains(percent, t) {
			words = append(words, strconv.Itoa(t))
		}
	}
	for _, n := range percent {
		if !slices.Contains(Thresholds(), n) {
			wrong.add("alerts", "%d is none of %s", n, strings.Trim(fmt.Sprint(Thresholds()), "[]"))
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	text := strings.Join(words, ",")
	if text == "" {
		text = noAlerts
	}
	return s.write(ctx, func(tx Tx) error {
		if _, err := live(tx, id); err != nil {
			return err
		}
		old, err := tx.Setting(settingAlerts(id))
		if err != nil || old == text {
			return err
		}
		if err := tx.SetSetting(settingAlerts(id), text); err != nil {
			return err
		}
		return tx.Log(&Entry{At: s.moment(), Account: id, Actor: actor, Action: ActionAlerts, Subject: id.String(), Detail: text})
	})
}
