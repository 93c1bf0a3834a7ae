package peoplehttp

// Routes are all that there are, as "POST /v1/account/sign-in".
func Routes() (all []string) {
	for _, t := range table() {
		all = append(all, t.method+" "+Prefix+t.path)
	}
	return all
}
