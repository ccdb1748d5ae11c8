metadata description = 'Who is told, and when. The queries read the events that shared/telemetry.py writes; tests/infra compares their names and fields.'

import { tagSet } from '../types.bicep'

@description('Required. Ends of the resource names.')
param baseName string

@description('Required. Region.')
param location string

@description('Required. Application Insights, whose logs the rules read.')
param insightsId string

@description('Required. Addresses that get an e-mail.')
param emails string[]

@description('Required. Accounts escrowed within an hour at one application before somebody is told.')
param escrowsBeforeAlert int

@description('Required. Tags of every resource.')
param tags tagSet

// Severity: 0 critical, 1 error, 2 warning. An alert about something that happened ends by itself when it did not happen
// again; that it ended does not say that the cause is gone. Until it ended, nobody is told of the same thing twice.
//
// A record may arrive minutes after it was written. So a window is at least two frequencies long: what one evaluation
// came too early for, the next one sees.
var rules = [
  {
    name: 'quarantine-started'
    title: 'An application is quarantined'
    description: 'Nothing is pushed to it until a probe succeeds. The reason says what to mend: credentials, address, or what keeps failing.'
    severity: 1
    query: loadTextContent('../queries/quarantine-started.kql')
    measure: 'quarantined'
    dimensions: ['application', 'reason']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'deletions-held'
    title: 'Deprovisioning is held'
    description: 'More people would lose access than the guard allows. Check the directory, then approve or reject. Everything else goes on.'
    severity: 1
    query: loadTextContent('../queries/deletions-held.kql')
    measure: 'held'
    dimensions: ['application']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'message-poisoned'
    title: 'A message was given up'
    description: 'It failed five times, or nobody could read it. A bug or a foreign sender: expected failures never end here. account.poisoned says which account, the function\'s log why.'
    severity: 1
    query: loadTextContent('../queries/message-poisoned.kql')
    measure: 'poisoned'
    dimensions: ['queue']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'escrows-growing'
    title: 'Many accounts cannot be provisioned'
    description: 'Accounts are escrowed faster than single bad data explains. The code says why; each is tried again by itself.'
    severity: 2
    query: loadTextContent('../queries/escrows-growing.kql')
    measure: 'escrowed'
    dimensions: ['application']
    operator: 'GreaterThan'
    threshold: escrowsBeforeAlert
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'no-successful-cycle'
    title: 'The directory was not read for 15 minutes'
    description: 'No run of sync_directory ended well. directory.refused names a missing permission, directory.throttled a pause Graph asked for; no run at all: the app is down.'
    severity: 1
    query: loadTextContent('../queries/no-successful-cycle.kql')
    measure: 'cycles'
    dimensions: []
    operator: 'LessThan'
    threshold: 1
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'no-finished-round'
    title: 'No round of changes was finished for a day'
    description: 'Early warning: even in a quiet directory a round ends every hour. directory.refused, directory.throttled or failures of sync_directory say why.'
    severity: 2
    query: loadTextContent('../queries/no-finished-round.kql')
    measure: 'rounds'
    dimensions: []
    operator: 'LessThan'
    threshold: 1
    window: 'P1D'
    frequency: 'PT1H'
  }
  {
    name: 'watermark-stale'
    title: 'The watermark is older than three days'
    description: 'Told by housekeeping from the stored watermark, then daily. After seven days Graph forgets the links and the whole directory is read again.'
    severity: 1
    query: loadTextContent('../queries/watermark-stale.kql')
    measure: 'told'
    dimensions: []
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'housekeeping-stopped'
    title: 'Nobody keeps the house'
    description: 'No run of housekeeping ended well for an hour: no retries, probes, sweeps, webhooks, releases of the guard. Its failures are in Application Insights; no run at all: look for the timer and the app.'
    severity: 1
    query: loadTextContent('../queries/housekeeping-stopped.kql')
    measure: 'runs'
    dimensions: []
    operator: 'LessThan'
    threshold: 1
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'changes-late'
    title: 'Changes reach a vendor late'
    description: 'On average more than five minutes pass from queueing an account to the vendor\'s answer. The workbook shows where: queue, rate limit, or a vendor that is down.'
    severity: 2
    query: loadTextContent('../queries/changes-late.kql')
    measure: 'latency_s'
    dimensions: ['application']
    operator: 'GreaterThan'
    threshold: 300
    window: 'PT30M'
    frequency: 'PT15M'
  }
  {
    name: 'setting-missing'
    title: 'A setting is missing'
    description: 'A setting that is needed is absent, its Key Vault reference did not resolve, or its value cannot be used. Without a credential or an address its application is quarantined, without a secret of notify nobody is told, without NOTIFICATION_CLIENT_STATE changes wait for the timer; nobody else is touched. Told by the first housekeeping after a start, then daily.'
    severity: 1
    query: loadTextContent('../queries/setting-missing.kql')
    measure: 'missing'
    dimensions: ['application', 'setting']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'credential-expiring'
    title: 'A credential ends soon, or has ended'
    description: 'Renew it at the vendor, put it into the vault, and change expires_on. Told 30, 14, 7, 3 and 1 days ahead and on the day, then daily.'
    severity: 1
    query: loadTextContent('../queries/credential-expiring.kql')
    measure: 'told'
    dimensions: ['application', 'expires_on']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT15M'
    frequency: 'PT5M'
  }
  {
    name: 'digest-stuck'
    title: 'Something is stuck'
    description: 'Once a day: accounts in escrow, given up, poisoned, held, or waiting for more than an hour; applications stopped for more than a day. The event counts them by reason.'
    severity: 2
    query: loadTextContent('../queries/digest-stuck.kql')
    measure: 'digests'
    dimensions: ['application']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT30M'
    frequency: 'PT15M'
  }
  {
    name: 'notices-overdue'
    title: 'A webhook takes nothing'
    description: 'Notices of an application were not taken for more than an hour. They wait in their order and are tried again at least every six hours; provisioning goes on. The problem says what to mend.'
    severity: 2
    query: loadTextContent('../queries/notices-overdue.kql')
    measure: 'failures'
    dimensions: ['application', 'problem']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'clock-skewed'
    title: 'The clock of an instance is wrong'
    description: 'It is off by more than a quarter of a second. Vendors\' rates are kept by storage\'s clock meanwhile (corrected), or nothing is sent by that instance (not corrected). Waits and leases are still read by its own: restart the app.'
    severity: 2
    query: loadTextContent('../queries/clock-skewed.kql')
    measure: 'skewed'
    dimensions: ['corrected']
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT1H'
    frequency: 'PT15M'
  }
  {
    name: 'functions-failing'
    title: 'Functions fail'
    description: 'Runs ended with an exception. Runs that the platform broke off while it took an instance away (exit code 143) do not count.'
    severity: 2
    query: loadTextContent('../queries/functions-failing.kql')
    measure: 'failures'
    dimensions: ['function_name']
    operator: 'GreaterThan'
    // Housekeeping, the rarest, runs six times in such a window: a function that always fails is seen, one hiccup is not.
    threshold: 2
    window: 'PT30M'
    frequency: 'PT15M'
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${baseName}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    // At most 12 characters: it is the sender's name in the e-mail.
    groupShortName: 'provisioner'
    emailReceivers: [for (email, index) in emails: {
      name: 'email-${index}'
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: 'alert-${rule.name}-${baseName}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    description: rule.description
    severity: rule.severity
    enabled: true
    scopes: [
      insightsId
    ]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    // Tables have no columns before the first record arrived.
    skipQueryValidation: true
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Total'
          metricMeasureColumn: rule.measure
          dimensions: map(rule.dimensions, dimension => {
            name: dimension
            operator: 'Include'
            values: [
              '*'
            ]
          })
          operator: rule.operator
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        people.id
      ]
    }
  }
}]
