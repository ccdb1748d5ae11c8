"""What can be said about infra/ without Azure and without the Bicep compiler, which no package registry offers."""
